import { MissingIdError } from '../errors/index.js';
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
  /** `NO_ANSWER` from a selector of the result, and from one that threw. */
  readonly before: T | typeof NO_ANSWER;
  readonly after: T;
  readonly metadataBefore: unknown;
  readonly metadata: unknown;
  /** Of the call. */
  readonly args: readonly unknown[];
}

/** What a selector threw before the call: it may need what the call makes. */
class Thrown {
  constructor(readonly cause: unknown) {}
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
    return {
      when: answerOf(when, self, args),
      selected: answerOf(this.selector, self, args),
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
      const after = this.#after(self, args, asked.selected, result);
      const before = isAnswer(asked.selected)
        ? (asked.selected as T)
        : NO_ANSWER;
      const metadataBefore = isAnswer(asked.metadata)
        ? asked.metadata
        : metadata;
      return this.makeOf(
        { before, after, metadataBefore, metadata, args },
        failed,
      );
    } catch (cause) {
      failed(cause);
      return [this.instead];
    }
  }

  /** @throws where nobody can tell what the selector would have named */
  #after(
    self: unknown,
    args: readonly unknown[],
    before: unknown,
    result: unknown,
  ): T {
    let after: T;
    try {
      after = atOnce(select(this.selector, self, args, result));
    } catch (cause) {
      // A `glob` with the id that the call has taken off the entity.
      const isGone = cause instanceof MissingIdError && isAnswer(before);
      if (isGone) return undefined as T;
      throw cause;
    }
    if (before instanceof Thrown && isNothing(after)) throw before.cause;
    return after;
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
    if (isAnswer(before) && Boolean(before)) return true;
    if (result === NO_ANSWER && typeof when !== 'function') return true;
    try {
      const holds = atOnce(select(when, self, args, result));
      if (!holds && before instanceof Thrown) throw before.cause;
      return holds;
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
      return after === undefined && isAnswer(before) ? before : after;
    } catch (cause) {
      if (isAnswer(before)) return before;
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
    const answer = atOnce(selector.apply(self, args) as unknown);
    // A list may be the method's argument, and shrink meanwhile.
    return Array.isArray(answer) ? [...(answer as unknown[])] : answer;
  } catch (cause) {
    // It is asked again after the call, and reported if that does not help.
    return new Thrown(cause);
  }
}

function isAnswer(asked: unknown): boolean {
  return asked !== NO_ANSWER && !(asked instanceof Thrown);
}

function isNothing(selected: unknown): boolean {
  const list: unknown[] = Array.isArray(selected) ? selected : [selected];
  return list.every((one) => one === null || one === undefined);
}
