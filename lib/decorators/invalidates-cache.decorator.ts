import {
  batch,
  buildCacheKey,
  buildPattern,
  entity,
  patternOf,
  show,
  type EntityId,
  type EntityType,
} from '../message/index.js';
import {
  announcementOf,
  makeEach,
  type AnnounceOptions,
} from './announcement.js';
import { announceAfter } from './announcing-method.js';
import type { Selector, SelectingDecorator } from './selector.js';

/** One id, several (which leave as one batch), or none. @publicApi */
export type SelectedIds =
  EntityId | null | undefined | readonly (EntityId | null | undefined)[];

/** What `@InvalidatesCache()` can be told. @publicApi */
export interface InvalidatesCacheOptions<
  W extends Selector<boolean>,
> extends AnnounceOptions<W> {
  /** `Update`: changed, whoever keeps it may refresh. @default 'Delete' */
  readonly action?: 'Delete' | 'Update';
}

/**
 * Invalidates an entity after the method succeeded: after its promise resolves,
 * its Observable completes, or it returns; never after a throw. The method's
 * result or error passes through unchanged, whatever happens here.
 *
 * @param selector the id or ids, from the method's arguments or, with
 * `fromResult()`, from its result; `null` and `undefined` invalidate nothing. If
 * it throws, or selects what is no id, the whole entity type is invalidated.
 * @throws InvalidMessageError for an impossible entity type, and TypeError for
 * other things that no call could obey, where the class is defined
 * @example
 * ```ts
 * @InvalidatesCache('User', (dto: UpdateUserDto) => dto.id)
 * async update(dto: UpdateUserDto): Promise<User> {}
 * ```
 * @publicApi
 */
export function InvalidatesCache<
  S extends Selector<SelectedIds>,
  W extends Selector<boolean> = Selector<boolean>,
>(
  type: EntityType,
  selector: S,
  options: InvalidatesCacheOptions<W> = {},
): SelectingDecorator<S, W> {
  const { action } = options;
  if (action !== undefined && action !== 'Delete' && action !== 'Update') {
    throw new TypeError(
      `${show(action)} is no action: give 'Delete' or 'Update'.`,
    );
  }
  // Here, and not when it is needed: a type may be impossible.
  const whole = patternOf(buildPattern(type));
  const announcement = announcementOf<SelectedIds>(
    selector,
    options,
    (ids, metadata, failed) => {
      if (ids === null || ids === undefined) return [];
      if (!Array.isArray(ids)) {
        return [entity(type, ids as EntityId, { action, metadata })];
      }
      const { made, complete } = makeEach<EntityId, string>(
        ids,
        (id) => buildCacheKey(type, id),
        failed,
      );
      const keys = made.length === 0 ? [] : [batch(made, metadata)];
      return complete ? keys : [...keys, whole];
    },
    whole,
  );
  return (target, key, descriptor) =>
    announceAfter(target, key, descriptor, announcement);
}
