import * as fc from 'fast-check';
import {
  buildCacheKey,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';

/** Characters that are special in JSON, UTF-8, globs or cache keys. */
const NASTY = Array.from('"\'\\/:*?[]^-{}').concat(
  ['\0', '\b', '\n', '\r', '\t', '\u001f', '\u007f', '\u0080'],
  ['\u2028', '\u2029', '\ufeff', '\uffff', 'é', '日', '🎉', '𝕏'],
  ['a', 'Z', '0', ' ', 'user', '__proto__'],
);

/** Well-formed Unicode. */
export const nastyText = (minLength = 0): fc.Arbitrary<string> =>
  fc.oneof(
    fc.string({ unit: fc.constantFrom(...NASTY), minLength }),
    fc.string({ unit: 'binary', minLength }),
    fc.string({ minLength }),
  );

export const entityType: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('User', 'Post', 'Comment', 'Notification', 'Feed'),
  nastyText(1).filter((type) => !type.includes(':')),
);

export const cacheKey: fc.Arbitrary<string> = fc
  .tuple(entityType, nastyText(1))
  .map(([type, id]) => buildCacheKey(type, id));

/** RFC 3339 in UTC with up to nine digits. */
export const timestamp: fc.Arbitrary<string> = fc
  .tuple(
    fc.date({
      min: new Date('0001-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59Z'),
      noInvalidDate: true,
    }),
    fc.string({
      unit: fc.constantFrom(...Array.from('0123456789')),
      maxLength: 9,
    }),
  )
  .map(([date, digits]) => {
    const second = date.toISOString().slice(0, 'YYYY-MM-DDTHH:MM:SS'.length);
    return digits === '' ? `${second}Z` : `${second}.${digits}Z`;
  });

/**
 * Keys that reach a prototype are rejected, class-transformer drops every key that
 * an object inherits, such as `toString`, and the pipe of Nest drops `prototype`.
 */
const INHERITED = new Set(
  ['prototype', ...Reflect.ownKeys(Object.prototype)].map((key) =>
    JSON.stringify(key),
  ),
);

/** Whether JSON means the same to all readers, since it has no inherited key. */
export function inheritsNoKey(value: unknown): boolean {
  const texts = JSON.stringify(value).match(/"(?:[^"\\]|\\.)*"/g) ?? [];
  return texts.every((text) => !INHERITED.has(text));
}

/** JSON that may travel as metadata. */
export const metadata: fc.Arbitrary<unknown> = fc
  .oneof(fc.jsonValue({ maxDepth: 5 }), nastyText())
  .filter(inheritsNoKey)
  // JSON has no -0.
  .map((value): unknown => JSON.parse(JSON.stringify(value)));

const what = fc.oneof(
  fc.record({
    action: fc.constantFrom('Delete', 'Update'),
    entityType,
    entityId: nastyText(1),
    pattern: fc.constant(null),
    entityIds: fc.constant(null),
  }),
  fc.record({
    action: fc.constant('Pattern'),
    entityType: fc.constant('pattern'),
    entityId: fc.constant(null),
    pattern: nastyText(1),
    entityIds: fc.constant(null),
  }),
  fc.record({
    action: fc.constant('Batch'),
    entityType: fc.constant('batch'),
    entityId: fc.constant(null),
    pattern: fc.constant(null),
    entityIds: fc.array(cacheKey),
  }),
);

const offset = fc.option(
  fc.tuple(fc.nat(), fc.nat()).map((parts) => parts.join('-')),
);

const region = fc.constantFrom('eu', 'us-east-1', 'A.b_C', 'x'.repeat(32));

const envelope = fc.record({
  messageId: fc.uuid(),
  timestamp,
  sourceService: nastyText(),
  metadata,
  origin: fc.option(nastyText()),
  offset,
  previous: offset,
  trace: fc.option(
    fc.record({ traceparent: nastyText(), tracestate: nastyText() }),
  ),
  at: fc.option(fc.record({ pg: nastyText() })),
  region: fc.option(region),
  path: fc.option(fc.array(region, { minLength: 1, maxLength: 16 })),
  own: fc.constant(false),
  widened: fc.constant(null),
});

/** Every kind of message, as `decodeMessage` gives it. */
export const message = fc
  .tuple(what, envelope)
  .map((parts) => Object.assign({}, ...parts) as InvalidationMessage);
