import {
  affects,
  buildCacheKey,
  concerns,
  show,
  type EntityId,
  type EntityType,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';

/**
 * An entity, any entity of a type, an invalidation that `entity()`, `batch()`,
 * `pattern()` or `everything()` made, or, without arguments, anything.
 *
 * @publicApi
 */
export type InvalidationExpectation =
  | []
  | [type: EntityType]
  | [type: EntityType, id: EntityId]
  | [invalidation: Invalidation];

/**
 * Matchers that `expect.extend(invalidationMatchers)` adds, for an `InMemoryBroker` and an
 * `InvalidationRecorder`.
 *
 * @publicApi
 */
export interface InvalidationMatchers<R = void> {
  /**
   * Whether an entity, or something of a type, was invalidated, by whichever
   * message covers it. An invalidation that `pattern()` and the like made must have
   * been published as such; its metadata counts if it has any.
   */
  toHaveInvalidated(...what: InvalidationExpectation): R;
  /** Whether exactly `count` messages did so. */
  toHaveInvalidatedTimes(count: number, ...what: InvalidationExpectation): R;
  /** Whether the last message did so. */
  toHaveLastInvalidated(...what: InvalidationExpectation): R;
}

declare global {
  // Vitest and @types/jest both read what is merged into this.
  namespace jest {
    // oxlint-disable-next-line typescript/no-empty-object-type, typescript/no-unused-vars -- its parameters must be those of the others
    interface Matchers<R, T = {}> extends InvalidationMatchers<R> {}
  }
}

/** The result of a matcher, for both runners. @publicApi */
export interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
}

type Published = readonly InvalidationMessage[];

/**
 * For `expect.extend()` of Vitest and of Jest.
 *
 * @example
 * ```ts
 * expect.extend(invalidationMatchers);
 * ```
 * @publicApi
 */
export const invalidationMatchers = {
  toHaveInvalidated(
    received: unknown,
    ...what: InvalidationExpectation
  ): MatcherResult {
    const published = publishedOn(received);
    return result(published.some(matcherOf(what)), what, '', published);
  },

  toHaveInvalidatedTimes(
    received: unknown,
    count: number,
    ...what: InvalidationExpectation
  ): MatcherResult {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new TypeError(
        `${show(count)} is not a number of times: give a whole number first, then what was invalidated.`,
      );
    }
    const published = publishedOn(received);
    const times = published.filter(matcherOf(what)).length;
    const how = ` ${count} times, but was ${times} times`;
    return result(times === count, what, how, published);
  },

  toHaveLastInvalidated(
    received: unknown,
    ...what: InvalidationExpectation
  ): MatcherResult {
    const published = publishedOn(received);
    const last = published.slice(-1);
    return result(last.some(matcherOf(what)), what, ' last', published);
  },
};

/** Messages of a broker or recorder, known by shape: a second copy of the package has other classes. */
function publishedOn(received: unknown): Published {
  const { published } = (received ?? {}) as { published?: unknown };
  if (Array.isArray(published)) return published as Published;
  throw new TypeError(
    'Give expect() an InMemoryBroker or an InvalidationRecorder.',
  );
}

/** An argument that is `undefined` is refused, since it would match too much. */
function matcherOf(
  expected: InvalidationExpectation,
): (message: InvalidationMessage) => boolean {
  if (expected.length === 0) return () => true;
  const [what, id] = expected;
  if (what === undefined || what === null) {
    throw new TypeError(
      `${show(what)} cannot be expected: give an entity type, or what entity(), batch(), pattern() or everything() made.`,
    );
  }
  if (typeof what === 'object') return (message) => isSaid(message, what);
  if (expected.length === 1) return concerns([what]);
  const key = buildCacheKey(what, id as EntityId);
  return (message) => affects(message, key);
}

function isSaid(message: InvalidationMessage, wanted: Invalidation): boolean {
  const isSame =
    message.action === wanted.action &&
    message.entityType === wanted.entityType &&
    message.entityId === wanted.entityId &&
    message.pattern === wanted.pattern &&
    sorted(message.entityIds) === sorted(wanted.entityIds);
  return (
    isSame &&
    (wanted.metadata === null ||
      JSON.stringify(message.metadata) === JSON.stringify(wanted.metadata))
  );
}

function sorted(keys: readonly string[] | null): string {
  return JSON.stringify(keys === null ? null : [...keys].toSorted());
}

function result(
  pass: boolean,
  what: InvalidationExpectation,
  how: string,
  published: Published,
): MatcherResult {
  return {
    pass,
    message: () =>
      `${wantedText(what)} should ${pass ? 'not ' : ''}have been invalidated${how}.\n${publishedText(published)}`,
  };
}

function wantedText([what, id]: InvalidationExpectation): string {
  if (what === undefined) return 'Something';
  if (typeof what === 'object') return line(what);
  return id === undefined ? what : `${what} ${id}`;
}

/** Messages listed in a failure; the rest is counted. */
const MOST_LINES = 10;

function publishedText(published: Published): string {
  if (published.length === 0) {
    return 'Nothing was published. A synchronous method publishes after it has returned: await settled(app). Without CacheInvalidationModule, or CacheInvalidationTestingModule, decorated methods pass through.';
  }
  const more = published.length - MOST_LINES;
  return [
    'Published:',
    ...published.slice(-MOST_LINES).map((each) => `  - ${line(each)}`),
    ...(more > 0 ? [`and ${more} before them`] : []),
  ].join('\n');
}

function line({
  action,
  entityType,
  entityId,
  pattern,
  entityIds,
}: Invalidation): string {
  const subject =
    pattern ?? entityIds?.join(', ') ?? `${entityType} ${String(entityId)}`;
  return `${action} ${show(subject)}`;
}
