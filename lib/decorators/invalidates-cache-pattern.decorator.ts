import {
  everything,
  isMatchAll,
  pattern,
  type Invalidation,
} from '../message/index.js';
import {
  announcementOf,
  makeEach,
  type AnnounceOptions,
} from './announcement.js';
import { announceAfter } from './announcing-method.js';
import type { Selector, SelectingDecorator } from './selector.js';

/** One Redis glob, several, or none. @publicApi */
export type SelectedPatterns =
  string | null | undefined | readonly (string | null | undefined)[];

/**
 * As `@InvalidatesCache()`, for all keys that a Redis glob matches.
 *
 * @param glob a pattern, or a selector of one or several; if it throws, or
 * selects what cannot be published (`*` among it), everything is invalidated
 * @throws InvalidMessageError for a fixed pattern that is none, and TypeError for
 * what is no selector, where the class is defined
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
  if (typeof glob === 'string' && !isMatchAll(glob)) pattern(glob);
  const announcement = announcementOf<SelectedPatterns>(
    typeof glob === 'string' ? () => glob : glob,
    options,
    (globs, metadata, failed) => {
      const { made, complete } = makeEach<string, Invalidation>(
        Array.isArray(globs) ? globs : [globs],
        (one) => pattern(one, metadata),
        failed,
      );
      return complete ? made : [everything()];
    },
    everything(),
  );
  return (target, key, descriptor) =>
    announceAfter(target, key, descriptor, announcement);
}
