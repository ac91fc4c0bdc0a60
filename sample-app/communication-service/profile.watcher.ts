import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import {
  InjectInvalidationStream,
  ofEntity,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { concatMap, filter, type Observable } from 'rxjs';
import { NotificationsService } from './notifications.service.js';

/**
 * Tells users that their profile was changed: "if it was not you…".
 *
 * A courtesy, and no more may hang on it. An invalidation says "forget what you
 * know", it may come widened or twice, and it is no record of what happened: for
 * that, publish an event.
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
          // Others may publish users whose ids are no numbers.
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
