import { show, type Invalidation } from '../message/index.js';
import { atOnce } from '../stream/index.js';
import { isSelector, select, type Selector } from './selector.js';

/**
 * What one decorator makes of a call that succeeded. Never throws: what goes
 * wrong is told to `failed`, and something coarser is said instead, since the
 * data has changed all the same.
 *
 * @internal
 */
export type Announcement = (
  args: readonly unknown[],
  result: unknown,
  failed: (cause: unknown) => void,
) => readonly Invalidation[];

/** What every invalidating decorator can be told. @publicApi */
export interface AnnounceOptions<W extends Selector<boolean>> {
  /** Invalidate only if this says so. @default always */
  readonly when?: W;
  /** Any JSON value, or a function of the method's arguments that gives one. @default null */
  readonly metadata?: unknown;
}

/**
 * @param make turns what was selected into invalidations; may throw
 * @param instead what covers everything that could have been selected
 * @throws TypeError for what no call could ask
 * @internal
 */
export function announcementOf<T>(
  selector: Selector<T>,
  { when, metadata = null }: AnnounceOptions<Selector<boolean>>,
  make: (
    selected: T,
    metadata: unknown,
    failed: (cause: unknown) => void,
  ) => readonly Invalidation[],
  instead: Invalidation,
): Announcement {
  if (!isSelector(selector)) {
    throw new TypeError(
      `${show(selector)} is no selector: give a function of the method's arguments, or fromResult().`,
    );
  }
  if (when !== undefined && !isSelector(when)) {
    throw new TypeError(
      `${show(when)} is no condition: give as \`when\` a function of the method's arguments, or fromResult().`,
    );
  }
  // On the path of every decorated call: no closures.
  return (args, result, failed) => {
    try {
      if (when !== undefined && !atOnce(select(when, args, result))) return [];
    } catch (cause) {
      failed(cause);
    }
    let content: unknown = metadata;
    try {
      if (typeof metadata === 'function') content = atOnce(metadata(...args));
    } catch (cause) {
      content = null;
      failed(cause);
    }
    try {
      return make(atOnce(select(selector, args, result)), content, failed);
    } catch (cause) {
      failed(cause);
      return [instead];
    }
  };
}

/**
 * Makes each of a list, and if one cannot be made, `instead` besides the others.
 *
 * @internal
 */
export function makeEach<T, M>(
  items: readonly (T | null | undefined)[],
  make: (item: T) => M,
  failed: (cause: unknown) => void,
): { made: M[]; complete: boolean } {
  const made: M[] = [];
  let complete = true;
  for (const item of items) {
    if (item === null || item === undefined) continue;
    try {
      made.push(make(item));
    } catch (cause) {
      complete = false;
      failed(cause);
    }
  }
  return { made, complete };
}
