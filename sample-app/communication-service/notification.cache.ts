import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import {
  affects,
  buildCacheKey,
  InjectInvalidationStream,
  InvalidationPublisher,
  keysOf,
  ofEntity,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { concatMap, type Observable } from 'rxjs';
import { LoadsInFlight } from '../shared/loads-in-flight.js';
import type { NotificationList } from './notification.js';

const USER_KEY = /^user:(.+)$/;

/** Lists of notifications, kept until the user or the user's notifications change. */
@Injectable()
export class NotificationCache implements OnModuleDestroy {
  readonly #lists = new LRUCache<number, NotificationList>({ max: 1_000 });
  readonly #loads = new LoadsInFlight<NotificationList>();
  readonly #subscription;

  constructor(
    private readonly publisher: InvalidationPublisher,
    @InjectInvalidationStream() invalidations$: Observable<InvalidationMessage>,
  ) {
    this.#subscription = invalidations$
      .pipe(ofEntity('User', 'Notification'))
      .subscribe((message) => this.#evict(message));
    // Later than the eviction: a read after this message gets the new list.
    this.#subscription.add(
      invalidations$
        .pipe(
          ofEntity('User'),
          concatMap((message) => this.#publish(message)),
        )
        .subscribe(),
    );
  }

  onModuleDestroy(): void {
    this.#subscription.unsubscribe();
  }

  async get(
    userId: number,
    load: () => Promise<NotificationList>,
  ): Promise<NotificationList> {
    return (
      this.#lists.get(userId) ??
      this.#loads.run(String(userId), load, (list) =>
        this.#lists.set(userId, list),
      )
    );
  }

  /** The lists of changed users change too, since they name the user. */
  async #publish(message: InvalidationMessage): Promise<void> {
    const keys = keysOf(message);
    if (keys === null) {
      await this.publisher.invalidatePattern('notification:*');
      return;
    }
    const ids = keys.flatMap((key) => USER_KEY.exec(key)?.[1] ?? []);
    await this.publisher.invalidateBatch(
      ids.map((id) => buildCacheKey('Notification', id)),
    );
  }

  #evict(message: InvalidationMessage): void {
    this.#loads.forget((userId) => concerns(message, userId));
    for (const userId of this.#lists.keys()) {
      if (concerns(message, userId)) this.#lists.delete(userId);
    }
  }
}

function concerns(
  message: InvalidationMessage,
  userId: number | string,
): boolean {
  return (
    affects(message, buildCacheKey('User', userId)) ||
    affects(message, buildCacheKey('Notification', userId))
  );
}
