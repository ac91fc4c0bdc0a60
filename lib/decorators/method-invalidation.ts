import type { Invalidation } from '../message/index.js';
import type { SelectedPosition } from './call-position.js';
import type { Selector } from './selector.js';

/** Answers of selectors of arguments before the call, which may change the arguments. @internal */
export interface Asked {
  readonly when: unknown;
  readonly selected: unknown;
  readonly metadata: unknown;
}

/**
 * Makes the invalidations of one decorator. It never throws: failures are passed to
 * `failed`, and a coarser invalidation is made instead, since the data has changed.
 *
 * @internal
 */
export interface MethodInvalidation {
  readonly evenIfFails: boolean;
  /** Selects the position of the commit; absent where it is not known. */
  readonly at?: Selector<SelectedPosition> | undefined;
  /** Calls every selector of arguments, before the method. */
  ask(self: unknown, args: readonly unknown[]): Asked;
  /** @param result `NO_ANSWER` if the call failed */
  make(
    self: unknown,
    args: readonly unknown[],
    asked: Asked,
    result: unknown,
    failed: (cause: unknown) => void,
  ): readonly Invalidation[];
}

/** Options of every invalidating decorator. @publicApi */
export interface InvalidatingOptions<W extends Selector<boolean>> {
  /**
   * Condition, checked before the call and after it: one of them is enough.
   *
   * @default always
   */
  readonly when?: W;
  /** Any JSON value, or a function of the method's arguments that gives one. @default null */
  readonly metadata?: unknown;
  /**
   * Invalidates after a throw, a rejection or an Observable's error too: for
   * methods that may fail after their commit. @default false
   */
  readonly evenIfFails?: boolean;
  /**
   * A position of the database's log at or after the commit, for caches that load from a
   * replica: a function of the method's arguments or of its result, called once the method
   * has succeeded, with `this`. It may return a promise, which is waited for up to a
   * second. It is not called for synchronous methods and streams, nor in an
   * `InvalidationScope`.
   *
   * @default unknown; such caches ask their own primary
   */
  readonly at?: Selector<SelectedPosition>;
}
