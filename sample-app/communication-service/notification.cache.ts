import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import {
  affects,
  buildCacheKey,
  InjectInvalidationStream,
  ofEntity,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import type { Observable } from 'rxjs';
import { LoadsInFlight } from '../shared/loads-in-flight.js';
import type { NotificationList } from './notification.js';

/** Lists of notifications, kept until the user or the user's notifications change. */
@Injectable()
export class NotificationCache implements OnModuleDestroy {
  readonly #lists = new LRUCache<number, NotificationList>({ max: 1_000 });
  readonly #loads = new LoadsInFlight<NotificationList>();
  readonly #subscription;

  constructor(
    @InjectInvalidationStream() invalidations$: Observable<InvalidationMessage>,
  ) {
    this.#subscription = invalidations$
      .pipe(ofEntity('User', 'Notification'))
      .subscribe((message) => this.#evict(message));
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
