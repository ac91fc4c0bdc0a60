import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import {
  InjectInvalidationStream,
  ofEntity,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { concatMap, filter, type Observable } from 'rxjs';
import { NotificationsService } from './notifications.service.js';

/**
 * Notifies users that their profile was changed: "if it was not you…".
 *
 * Nothing important may depend on this. An invalidation only evicts copies; it may
 * arrive widened or twice, and is no record of an event. For that, publish an event.
 */
@Injectable()
export class ProfileWatcher implements OnModuleDestroy {
  readonly #subscription;

  constructor(
    notifications: NotificationsService,
    @InjectInvalidationStream() invalidations$: Observable<InvalidationMessage>,
  ) {
    this.#subscription = invalidations$
      .pipe(
        ofEntity('User'),
        filter(({ action }) => action === 'Update'),
        concatMap(async ({ entityId }) => {
          const userId = Number(entityId);
          // Other publishers may use ids that are no numbers.
          if (!Number.isSafeInteger(userId)) return;
          await notifications.add(userId, 'Your profile was changed.');
        }),
      )
      .subscribe();
  }

  onModuleDestroy(): void {
    this.#subscription.unsubscribe();
  }
}
