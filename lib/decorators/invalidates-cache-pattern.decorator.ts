import {
  everything,
  isMatchAll,
  pattern,
  patternOf,
  type Invalidation,
} from '../message/index.js';
import type { InvalidatingOptions } from './method-invalidation.js';
import { publishAfter } from './publishing-method.js';
import { NO_ANSWER } from './answers.js';
import { readsThis } from './decorated-member.js';
import {
  methodInvalidationOf,
  type Selected,
} from './selected-invalidation.js';
import type { Selector, SelectingDecorator } from './selector.js';
import { withArgumentsEscaped } from './unescaped.js';

/** One Redis glob, several, or none. @publicApi */
export type SelectedPatterns =
  string | null | undefined | readonly (string | null | undefined)[];

/**
 * Invalidates all cache keys that a Redis glob matches, as `@InvalidatesCache()` does
 * an entity.
 *
 * @param glob a pattern, or a selector of one or several; if the selector throws, or
 * selects a pattern that cannot be published (such as `*`), everything is invalidated
 * @throws InvalidMessageError for an impossible pattern, and TypeError for an
 * impossible selector, where the class is defined
 * @example
 * ```ts
 * @InvalidatesCachePattern((id: string) => glob`feed:${id}:*`)
 * async remove(id: string): Promise<void> {}
 * ```
 * @publicApi
 */
export function InvalidatesCachePattern<
  S extends string | Selector<SelectedPatterns>,
  W extends Selector<boolean> = Selector<boolean>,
>(glob: S, options: InvalidatingOptions<W> = {}): SelectingDecorator<S, W> {
  if (typeof glob === 'string' && !isMatchAll(glob)) pattern(glob);
  const invalidation = methodInvalidationOf<SelectedPatterns>(
    typeof glob === 'string' ? () => glob : glob,
    options,
    patternsOf,
    everything(),
  );
  return (target, key, descriptor) =>
    publishAfter(target, key, descriptor, invalidation, {
      does: 'invalidates',
      what: typeof glob === 'string' ? glob : 'patterns of its call',
      type: null,
      covers: typeof glob === 'string' ? patternOf(glob) : null,
      seesInstance: readsThis(glob),
    });
}

/** The patterns selected before the call or after it. */
function patternsOf(
  { before, after, metadata, metadataBefore, args }: Selected<SelectedPatterns>,
  failed: (cause: unknown) => void,
): readonly Invalidation[] {
  const later = new Set(globsOf(after));
  const all = new Set([
    ...(before === NO_ANSWER ? [] : globsOf(before)),
    ...later,
  ]);
  const made: Invalidation[] = [];
  for (const one of [...all, ...withArgumentsEscaped([...all], args)]) {
    try {
      const isGone = all.has(one) && !later.has(one);
      made.push(pattern(one, isGone ? metadataBefore : metadata));
    } catch (cause) {
      failed(cause);
      return [everything()];
    }
  }
  return made;
}

function globsOf(globs: SelectedPatterns): string[] {
  const list = Array.isArray(globs) ? globs : [globs as string | null];
  return list.filter((one) => one !== null && one !== undefined);
}
