import { pattern } from '../message/index.js';
import { announceAfter } from './announcing-method.js';
import {
  applies,
  metadataOf,
  type AnnounceOptions,
} from './invalidates-cache.decorator.js';
import type { Announcement } from './invalidation.announcer.js';
import { select, type Selector, type SelectingDecorator } from './selector.js';

/** One Redis glob, several, or none. @publicApi */
export type SelectedPatterns =
  string | null | undefined | readonly (string | null | undefined)[];

/**
 * As `@InvalidatesCache()`, for all keys that a Redis glob matches.
 *
 * @param glob a pattern, or a selector of one or several
 * @example
 * ```ts
 * @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
 * async remove(id: string): Promise<void> {}
 * ```
 * @publicApi
 */
export function InvalidatesCachePattern<
  S extends string | Selector<SelectedPatterns>,
  W extends Selector<boolean> = Selector<boolean>,
>(glob: S, options: AnnounceOptions<W> = {}): SelectingDecorator<S, W> {
  const announcement: Announcement = (args, result) => {
    if (!applies(options, args, result)) return [];
    const selected =
      typeof glob === 'string'
        ? glob
        : select<SelectedPatterns>(glob, args, result);
    const metadata = metadataOf(options, args);
    return [selected]
      .flat()
      .filter((one) => one !== null && one !== undefined)
      .map((one) => pattern(one, metadata));
  };
  return (target, key, descriptor) =>
    announceAfter(target, key, descriptor, announcement);
}
