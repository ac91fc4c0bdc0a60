import { CallbackFailedError } from '../errors/index.js';
import {
  checkInvalidation,
  concerns,
  everything,
  isMatchAll,
  keyPrefixOf,
  keysOf,
  show,
  type EntityType,
  type Invalidation,
} from '../message/index.js';
import {
  atOnce,
  type ErrorReporter,
  type InvalidationMeter,
} from '../stream/index.js';
import { collapse } from './outbox.js';

/** More keys and patterns than this collapse to entity types. */
const MAX_FOLLOWING = 1_000;
/** With more than this no end is in sight: they collapse to everything. */
const MAX_EXPANDED = 10_000;

/**
 * Invalidations that follow when an entity with this id changes. The rule must
 * answer at once, and name entities (not patterns) of types that have a rule
 * themselves.
 *
 * @publicApi
 */
export type CascadeRule = (id: string) => readonly Invalidation[];

/** The rules by entity type. @publicApi */
export type CascadeRules = { readonly [T in EntityType]?: CascadeRule };

/**
 * Finds the invalidations that follow from one by the application's rules, and
 * those that follow from these, each once.
 *
 * @internal
 */
export class Cascade {
  /** By what the cache keys of the type begin with. */
  readonly #rules = new Map<string, { type: string; rule: CascadeRule }>();
  readonly #mayTouchRule: (invalidation: Invalidation) => boolean;

  private constructor(
    rules: CascadeRules,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {
    const types = Object.keys(rules) as EntityType[];
    for (const type of types) {
      this.#rules.set(keyPrefixOf(type), { type, rule: rules[type]! });
    }
    this.#mayTouchRule = concerns(types);
  }

  /** @returns `null` where there are no rules, so that nothing is paid for them */
  static of(
    rules: CascadeRules | undefined,
    meter: InvalidationMeter,
    errors: ErrorReporter,
  ): Cascade | null {
    return Object.keys(rules ?? {}).length === 0
      ? null
      : new Cascade(rules!, meter, errors);
  }

  /**
   * The invalidations that follow, without the given one, as `make` makes them. Never
   * throws: an error is reported, and everything follows.
   */
  expand<T>(
    invalidation: Invalidation,
    make: (following: Invalidation) => readonly T[],
  ): readonly T[] {
    try {
      return this.#follow(invalidation).flatMap(make);
    } catch (cause) {
      this.#failed(cause);
      return make(this.#widened());
    }
  }

  #follow(invalidation: Invalidation): Invalidation[] {
    const keys = keysOf(invalidation);
    if (keys === null) return this.#followPattern(invalidation);
    const changed = [...new Set(keys)];
    const keysSoFar = new Set<string>(changed);
    const patternsSoFar = new Set<string>();
    const own = keysSoFar.size;
    const count = (): number => keysSoFar.size - own + patternsSoFar.size;
    const following: Invalidation[] = [];
    // The list grows in the loop: entities that follow have followers, too.
    for (const key of changed) {
      for (const one of this.#applyRule(key)) {
        if (isEverything(one)) return [one];
        // A key may look like a pattern, and means something else.
        const before = one.action === 'Pattern' ? patternsSoFar : keysSoFar;
        const news = (keysOf(one) ?? [one.pattern!]).filter(
          (text) => !before.has(text) && before.add(text),
        );
        if (news.length === 0) continue;
        if (count() > MAX_EXPANDED) return [this.#widened()];
        following.push(
          one.action === 'Batch' ? { ...one, entityIds: news } : one,
        );
        if (one.action !== 'Pattern') changed.push(...news);
      }
    }
    if (count() <= MAX_FOLLOWING) return following;
    this.meter.widened('cascade');
    return collapse(following);
  }

  /** Which entities changed is not known, and so neither is what follows. */
  #followPattern(invalidation: Invalidation): Invalidation[] {
    return isEverything(invalidation) || !this.#mayTouchRule(invalidation)
      ? []
      : [this.#widened()];
  }

  #applyRule(key: string): Invalidation[] {
    const colon = key.indexOf(':');
    const found = this.#rules.get(key.slice(0, Math.max(0, colon)));
    if (found === undefined) return [];
    const { type, rule } = found;
    try {
      const answer: unknown = atOnce(rule(key.slice(colon + 1)));
      if (!Array.isArray(answer)) {
        throw new TypeError(`it returned ${show(answer)} instead of a list`);
      }
      return answer.map((one: Invalidation) => this.#check(one));
    } catch (cause) {
      throw this.#error(`cascade.${type}`, cause);
    }
  }

  #check(given: Invalidation): Invalidation {
    const one = checkInvalidation(given);
    if (
      one.action === 'Pattern' &&
      !isEverything(one) &&
      this.#mayTouchRule(one)
    ) {
      throw new TypeError(
        `the pattern ${show(one.pattern)} may match entities with a rule of their own, which must be named one by one`,
      );
    }
    return one;
  }

  #widened(): Invalidation {
    this.meter.widened('cascade');
    return everything();
  }

  #failed(cause: unknown): void {
    const error =
      cause instanceof CallbackFailedError
        ? cause
        : this.#error('cascade', cause);
    this.meter.handlerFailed();
    this.errors.report(error, error.source);
  }

  #error(source: string, cause: unknown): CallbackFailedError {
    return new CallbackFailedError(
      source,
      'failed to return what else has changed',
      'Everything was invalidated instead; correct the rule.',
      cause,
    );
  }
}

function isEverything({ pattern }: Invalidation): boolean {
  return pattern !== null && isMatchAll(pattern);
}
