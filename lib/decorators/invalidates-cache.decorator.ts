import {
  batch,
  buildCacheKey,
  entity,
  type EntityId,
  type EntityType,
  type Invalidation,
} from '../message/index.js';
import { announceAfter } from './announcing-method.js';
import type { Announcement } from './invalidation.announcer.js';
import { select, type Selector, type SelectingDecorator } from './selector.js';

/** One id, several (which leave as one batch), or none. @publicApi */
export type SelectedIds =
  EntityId | null | undefined | readonly (EntityId | null | undefined)[];

/** @publicApi */
export interface AnnounceOptions<W extends Selector<boolean>> {
  /** Invalidate only if this says so. @default always */
  readonly when?: W;
  /** Any JSON value, or a function of the method's arguments that gives one. @default null */
  readonly metadata?: unknown;
}

/** @publicApi */
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
 * `fromResult()`, from its result; `null` and `undefined` invalidate nothing
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
  const announcement: Announcement = (args, result) => {
    if (!applies(options, args, result)) return [];
    const ids = select<SelectedIds>(selector, args, result);
    return invalidationsOf(
      type,
      ids,
      options.action,
      metadataOf(options, args),
    );
  };
  return (target, key, descriptor) =>
    announceAfter(target, key, descriptor, announcement);
}

/** @internal */
export function applies(
  { when }: AnnounceOptions<Selector<boolean>>,
  args: readonly unknown[],
  result: unknown,
): boolean {
  return when === undefined || select(when, args, result);
}

/** @internal */
export function metadataOf(
  { metadata = null }: AnnounceOptions<Selector<boolean>>,
  args: readonly unknown[],
): unknown {
  return typeof metadata === 'function' ? metadata(...args) : metadata;
}

function invalidationsOf(
  type: EntityType,
  ids: SelectedIds,
  action: 'Delete' | 'Update' | undefined,
  metadata: unknown,
): Invalidation[] {
  if (ids === null || ids === undefined) return [];
  if (typeof ids !== 'object') {
    return [entity(type, ids, { action, metadata })];
  }
  const keys = ids
    .filter((id) => id !== null && id !== undefined)
    .map((id) => buildCacheKey(type, id));
  return keys.length === 0 ? [] : [batch(keys, metadata)];
}
