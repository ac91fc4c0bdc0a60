import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  batch,
  encodeMessage,
  ENCODED_ORIGIN_LENGTH,
  entity,
  everything,
  Instance,
  readOwnId,
  readOwnPlace,
  type Invalidation,
} from '../../lib/message/index.js';
import * as arbitrary from './arbitraries.js';

/** Adds the fields that the publish script adds, before the origin. */
function journaled(payload: string, offset: string, previous: string): string {
  return (
    payload.slice(0, -ENCODED_ORIGIN_LENGTH) +
    `,"offset":"${offset}","previous":"${previous}"` +
    payload.slice(-ENCODED_ORIGIN_LENGTH)
  );
}

/** Reads the message by JSON.parse, the slow way. */
function parsed(payload: string) {
  const {
    message_id: id,
    offset,
    previous,
  } = JSON.parse(payload) as {
    message_id: string;
    offset?: string;
    previous?: string;
  };
  const place =
    offset === undefined || previous === undefined
      ? null
      : { offset, previous };
  return { id, place };
}

const read = (payload: string) => ({
  id: readOwnId(payload),
  place: readOwnPlace(payload),
});

const instance = new Instance('user-service');
const encode = (invalidation: Invalidation): string =>
  encodeMessage(instance.stamp(invalidation), Infinity);

const offset = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  )
  .map((parts) => parts.join('-'));

/** Texts that end like the position in the journal, or nearly. */
const LOOKALIKES = [
  ',"offset":"5-0","previous":"4-0"',
  ',"offset":"5-0","previous":"4-0',
  ',"offset":"5-0","previous":"',
  ',"previous":"',
  '","previous":"',
  '","offset":"5-0","previous":"',
  'offset":"5-0","previous":"4-0',
  '\\","previous":\\"',
  '\\',
  '"',
  ',"origin":"x"}',
];

const lookalike = fc.constantFrom(...LOOKALIKES);

const metadata = fc.oneof(
  arbitrary.metadata,
  lookalike,
  fc.tuple(arbitrary.nastyText(), lookalike).map((texts) => texts.join('')),
  lookalike.map((text) => [text]),
  lookalike.map((text) => ({ [text]: text })),
  fc.record({ offset, previous: offset }),
  fc.record({ a: fc.record({ offset, previous: offset }) }),
  lookalike.map((text) => ({ offset: '5-0', previous: text })),
  fc.constant({ previous: '', offset: '' }),
);

const invalidation: fc.Arbitrary<Invalidation> = fc.oneof(
  fc
    .tuple(arbitrary.entityType, arbitrary.nastyText(1), metadata)
    .map(([type, id, about]) => entity(type, id, { metadata: about })),
  fc
    .tuple(fc.array(arbitrary.cacheKey), metadata)
    .map(([keys, about]) => batch(keys, about)),
  metadata.map((about) => everything(about)),
);

describe('readOwnId() and readOwnPlace()', () => {
  it('return id and offsets, whatever the content', () => {
    fc.assert(
      fc.property(invalidation, offset, offset, (said, own, previous) => {
        const payload = journaled(encode(said), own, previous);
        expect(read(payload)).toEqual(parsed(payload));
        expect(readOwnPlace(payload)).toEqual({ offset: own, previous });
      }),
      { numRuns: 2_000 },
    );
  });

  it('return no offset for a message outside a journal, whatever the content', () => {
    fc.assert(
      fc.property(invalidation, (said) => {
        const payload = encode(said);
        expect(read(payload)).toEqual(parsed(payload));
        expect(readOwnPlace(payload)).toBeNull();
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(LOOKALIKES)('are not misled by metadata that ends with %s', (end) => {
    for (const about of [
      end,
      [end],
      { a: end },
      { [end]: 1 },
      [[{ a: [end] }]],
    ]) {
      const payload = encode(entity('User', 1, { metadata: about }));
      expect(readOwnPlace(payload)).toBeNull();
      expect(readOwnPlace(journaled(payload, '7-1', '6-2'))).toEqual({
        offset: '7-1',
        previous: '6-2',
      });
    }
  });

  it('return the same for a payload whose encoder wrote the offsets', () => {
    const message = {
      ...instance.stamp(entity('User', 1)),
      offset: '17-1',
      previous: '17-0',
    };
    expect(read(encodeMessage(message, Infinity))).toEqual({
      id: message.messageId,
      place: { offset: '17-1', previous: '17-0' },
    });
  });

  it.each(['', '5-0', 'x'.repeat(12), 'x'.repeat(100)])(
    'return no offset when the metadata ends with an offset: %j',
    (text) => {
      for (const key of ['offset', 'previous']) {
        for (const before of [
          { a: 1 },
          { a: 1, b: { c: 1, previous: '4-0' } },
        ]) {
          const about = { ...before, [key]: text };
          const payload = encode(entity('User', 1, { metadata: about }));
          expect(readOwnPlace(payload)).toBeNull();
        }
      }
    },
  );

  it('return no offset when only one of the two was written', () => {
    const message = instance.stamp(entity('User', 1));
    for (const half of [{ offset: '17-1' }, { previous: '17-0' }]) {
      const payload = encodeMessage({ ...message, ...half }, Infinity);
      expect(readOwnPlace(payload)).toBeNull();
    }
  });

  it('rely on an origin of constant length at the end', () => {
    for (let i = 0; i < 100; i++) {
      const other = new Instance('s');
      const payload = encodeMessage(other.stamp(everything()), Infinity);
      expect(payload.slice(-ENCODED_ORIGIN_LENGTH)).toBe(
        `,"origin":"${other.origin}"}`,
      );
    }
  });
});
