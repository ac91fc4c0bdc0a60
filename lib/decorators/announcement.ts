import { show, type Invalidation } from '../message/index.js';
import { atOnce } from '../stream/index.js';
import { isSelector, select, type Selector } from './selector.js';

/** A selector was not asked, or could not answer; a call has no result. @internal */
export const NO_ANSWER = Symbol('no answer');

/** Answers of argument selectors before the call: the method may change what they read. @internal */
export interface Asked {
  readonly when: unknown;
  readonly selected: unknown;
  readonly metadata: unknown;
}

/**
 * The invalidations of one decorator. Never throws: failures are passed to
 * `failed`, and something coarser is published instead, since the data has
 * changed all the same.
 *
 * @internal
 */
export interface Announcement {
  readonly evenIfFails: boolean;
  /** Asks, before the call, every selector that reads arguments only. */
  ask(self: unknown, args: readonly unknown[]): Asked;
  /** @param result `NO_ANSWER` where the call has none */
  make(
    self: unknown,
    args: readonly unknown[],
    asked: Asked,
    result: unknown,
    failed: (cause: unknown) => void,
  ): readonly Invalidation[];
}

/** Options of every invalidating decorator. @publicApi */
export interface AnnounceOptions<W extends Selector<boolean>> {
  /**
   * Invalidate only if this is true, before the call or after it. @default always
   */
  readonly when?: W;
  /** Any JSON value, or a function of the method's arguments that gives one. @default null */
  readonly metadata?: unknown;
  /**
   * Invalidates after a throw, a rejection or an Observable's error too: for
   * methods that may fail after their commit. @default false
   */
  readonly evenIfFails?: boolean;
}

/** Both answers of a selector, and the metadata that goes with each. @internal */
export interface Selected<T> {
  /** `NO_ANSWER` from a selector of the result, or one that threw. */
  readonly before: T | typeof NO_ANSWER;
  readonly after: T;
  readonly metadataBefore: unknown;
  readonly metadata: unknown;
  /** Of the call. */
  readonly args: readonly unknown[];
}

type Make<T> = (
  selected: Selected<T>,
  failed: (cause: unknown) => void,
) => readonly Invalidation[];

/**
 * @param make turns what was selected into invalidations; may throw
 * @param instead covers everything that could have been selected
 * @throws TypeError for options that no call could obey
 * @internal
 */
export function announcementOf<T>(
  selector: Selector<T>,
  options: AnnounceOptions<Selector<boolean>>,
  make: Make<T>,
  instead: Invalidation,
): Announcement {
  const { when, evenIfFails } = options;
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
  if (evenIfFails !== undefined && typeof evenIfFails !== 'boolean') {
    throw new TypeError(
      `${show(evenIfFails)} will not do for \`evenIfFails\`: give true or false.`,
    );
  }
  return new SelectedAnnouncement(selector, options, make, instead);
}

class SelectedAnnouncement<T> implements Announcement {
  readonly evenIfFails: boolean;

  constructor(
    private readonly selector: Selector<T>,
    private readonly options: AnnounceOptions<Selector<boolean>>,
    private readonly makeOf: Make<T>,
    private readonly instead: Invalidation,
  ) {
    this.evenIfFails = options.evenIfFails ?? false;
  }

  ask(self: unknown, args: readonly unknown[]): Asked {
    const { when, metadata } = this.options;
    const selected = answerOf(this.selector, self, args);
    return {
      when: answerOf(when, self, args),
      // The list may be the method's argument, and shrink meanwhile.
      selected: Array.isArray(selected) ? [...selected] : selected,
      metadata: answerOf(metadata, self, args),
    };
  }

  make(
    self: unknown,
    args: readonly unknown[],
    asked: Asked,
    result: unknown,
    failed: (cause: unknown) => void,
  ): readonly Invalidation[] {
    if (!this.#holds(self, args, asked.when, result, failed)) return [];
    const { selector } = this;
    // Nobody knows which entities: the call failed, or was broken off.
    if (result === NO_ANSWER && typeof selector !== 'function') {
      return [this.instead];
    }
    const metadata = this.#metadata(self, args, asked.metadata, failed);
    try {
      const after = atOnce(select(selector, self, args, result));
      const before = asked.selected as T | typeof NO_ANSWER;
      const metadataBefore =
        asked.metadata === NO_ANSWER ? metadata : asked.metadata;
      return this.makeOf(
        { before, after, metadataBefore, metadata, args },
        failed,
      );
    } catch (cause) {
      failed(cause);
      return [this.instead];
    }
  }

  #holds(
    self: unknown,
    args: readonly unknown[],
    before: unknown,
    result: unknown,
    failed: (cause: unknown) => void,
  ): boolean {
    const { when } = this.options;
    if (when === undefined) return true;
    if (before !== NO_ANSWER && Boolean(before)) return true;
    if (result === NO_ANSWER && typeof when !== 'function') return true;
    try {
      return atOnce(select(when, self, args, result));
    } catch (cause) {
      failed(cause);
      return true;
    }
  }

  #metadata(
    self: unknown,
    args: readonly unknown[],
    before: unknown,
    failed: (cause: unknown) => void,
  ): unknown {
    const { metadata = null } = this.options;
    if (typeof metadata !== 'function') return metadata;
    try {
      const after: unknown = atOnce(metadata.apply(self, args));
      return after === undefined && before !== NO_ANSWER ? before : after;
    } catch (cause) {
      if (before !== NO_ANSWER) return before;
      failed(cause);
      return null;
    }
  }
}

function answerOf(
  selector: unknown,
  self: unknown,
  args: readonly unknown[],
): unknown {
  if (typeof selector !== 'function') return NO_ANSWER;
  try {
    return atOnce(selector.apply(self, args) as unknown);
  } catch {
    // It is asked again after the call, and reported if it fails then.
    return NO_ANSWER;
  }
}
