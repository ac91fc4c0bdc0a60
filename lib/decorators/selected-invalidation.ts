import { MissingIdError } from '../errors/index.js';
import { show, type Invalidation } from '../message/index.js';
import { atOnce } from '../stream/index.js';
import type {
  MethodInvalidation,
  InvalidatingOptions,
  Asked,
} from './method-invalidation.js';
import { answerOf, isAnswer, isNothing, NO_ANSWER, Thrown } from './answers.js';
import { isSelector, select, type Selector } from './selector.js';

/** Answers of a selector before and after the call, each with its metadata. @internal */
export interface Selected<T> {
  /** `NO_ANSWER` from a selector of the result, and from one that threw. */
  readonly before: T | typeof NO_ANSWER;
  readonly after: T;
  readonly metadataBefore: unknown;
  readonly metadata: unknown;
  /** Arguments of the call. */
  readonly args: readonly unknown[];
}

type Make<T> = (
  selected: Selected<T>,
  failed: (cause: unknown) => void,
) => readonly Invalidation[];

/**
 * @param make turns selected values into invalidations; may throw
 * @param instead covers every value that could have been selected
 * @throws TypeError for impossible options
 * @internal
 */
export function methodInvalidationOf<T>(
  selector: Selector<T>,
  options: InvalidatingOptions<Selector<boolean>>,
  make: Make<T>,
  instead: Invalidation,
): MethodInvalidation {
  const { when, evenIfFails, at } = options;
  if (!isSelector(selector)) {
    throw new TypeError(
      `${show(selector)} is not a selector: give a function of the method's arguments, or fromResult().`,
    );
  }
  if (when !== undefined && !isSelector(when)) {
    throw new TypeError(
      `${show(when)} is not a condition: give as \`when\` a function of the method's arguments, or fromResult().`,
    );
  }
  if (evenIfFails !== undefined && typeof evenIfFails !== 'boolean') {
    throw new TypeError(
      `${show(evenIfFails)} is not valid for \`evenIfFails\`: give true or false.`,
    );
  }
  if (at !== undefined && !isSelector(at)) {
    throw new TypeError(
      `${show(at)} is not valid for \`at\`: give a function of the method's arguments, or fromResult().`,
    );
  }
  return new SelectedInvalidation(selector, options, make, instead);
}

class SelectedInvalidation<T> implements MethodInvalidation {
  readonly evenIfFails: boolean;
  readonly at: InvalidatingOptions<Selector<boolean>>['at'];

  constructor(
    private readonly selector: Selector<T>,
    private readonly options: InvalidatingOptions<Selector<boolean>>,
    private readonly makeOf: Make<T>,
    private readonly instead: Invalidation,
  ) {
    this.evenIfFails = options.evenIfFails ?? false;
    this.at = options.at;
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
    // A selector of the result cannot say which entities a failed call changed.
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

  /** @throws if the selector failed, both before the call and after it */
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
      // The call has removed the id that the selector puts into a `glob`.
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
