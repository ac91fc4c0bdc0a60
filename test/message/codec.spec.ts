import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import {
  batch,
  entity,
  everything,
  InvalidationSerializationError,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { decodeMessage, encodeMessage } from 'nestjs-cache-invalidation/wire';
import { describe, expect, it } from 'vitest';
import { Instance } from '../../lib/message/index.js';
import * as arbitrary from './arbitraries.js';
import { wire } from './wire.js';

const MAX = 4_194_304;

function decode(payload: string): InvalidationMessage {
  return decodeMessage(payload, MAX);
}

describe('Codec: messages of a service in another language', () => {
  const lines = readFileSync(
    new URL('rust-messages.jsonl', import.meta.url),
    'utf8',
  )
    .trimEnd()
    .split('\n');

  /** Content of each line, written by hand. */
  const SAID = [
    ['Delete', 'User', '123', null, null, null, '876695557'],
    ['Update', 'Post', '456', null, null, null, '876697370'],
    ['Delete', 'Comment', 'c-1', null, null, null, '876697911'],
    ['Delete', 'Notification', 'n:1:2', null, null, null, '876698391'],
    [
      'Update',
      'Feed',
      'ü-日本',
      null,
      null,
      { depth: 2, reason: 'follow' },
      '876701105',
    ],
    ['Delete', 'session', 'abc123', null, null, null, '876701967'],
    ['Pattern', 'pattern', null, 'feed:user_123:*', null, null, '876702608'],
    [
      'Batch',
      'batch',
      null,
      null,
      ['user:1', 'user:2', 'user:3'],
      null,
      '876789888',
    ],
  ] as const;

  it('decode completely, to the nanosecond', () => {
    expect(lines.map(decode)).toEqual(
      SAID.map(
        (
          [action, entityType, entityId, pattern, entityIds, metadata, nanos],
          i,
        ) => ({
          messageId: lines[i]!.slice(15, 51),
          action,
          entityType,
          entityId,
          pattern,
          entityIds,
          metadata,
          timestamp: `2026-11-22T13:17:12.${nanos}Z`,
          sourceService: 'user-service',
          origin: null,
          offset: null,
          previous: null,
          trace: null,
          at: null,
          region: null,
          path: null,
          own: false,
          widened: null,
        }),
      ),
    );
  });

  it.each(lines)('encode to the same bytes again: %s', (line) => {
    expect(encodeMessage(decode(line), MAX)).toBe(line);
  });
});

describe('encodeMessage()', () => {
  const FIELDS = [
    'message_id',
    'entity_type',
    'entity_id',
    'pattern',
    'entity_ids',
    'action',
    'timestamp',
    'source_service',
    'metadata',
  ];
  const instance = new Instance('user-service');

  it.each([
    entity('User', 1),
    entity('session', 'a'),
    batch(['user:1']),
    everything(),
  ])(
    'writes the fields in the order of the wire format, then the origin',
    (said) => {
      const payload = encodeMessage(instance.stamp(said), MAX);
      expect(Object.keys(JSON.parse(payload) as object)).toEqual([
        ...FIELDS,
        'origin',
      ]);
    },
  );

  it('writes offset and previous if they are known', () => {
    const message = {
      ...instance.stamp(entity('User', 1)),
      offset: '17-1',
      previous: '17-0',
    };
    const written: unknown = JSON.parse(encodeMessage(message, MAX));
    expect(Object.keys(written as object).toSorted()).toEqual(
      [...FIELDS, 'origin', 'offset', 'previous'].toSorted(),
    );
    expect(written).toMatchObject({ offset: '17-1', previous: '17-0' });
  });

  it('writes JSON, whatever was decoded as an offset', () => {
    const message = decode(wire({ offset: '"1', previous: '\\' }));
    expect(decode(encodeMessage(message, MAX))).toEqual(message);
  });

  it('writes what decodeMessage() reads back, for any texts and metadata', () => {
    fc.assert(
      fc.property(arbitrary.message, (message) => {
        expect(decode(encodeMessage(message, MAX))).toEqual(message);
      }),
      { numRuns: 2_000 },
    );
  });

  it('writes the same text as JSON.stringify()', () => {
    fc.assert(
      fc.property(arbitrary.message, (message) => {
        const payload = encodeMessage(message, MAX);
        expect(JSON.stringify(JSON.parse(payload))).toBe(payload);
      }),
    );
  });
});

it('decodeMessage() freezes the keys, which all handlers share', () => {
  const { entityIds } = decodeMessage(
    wire({ action: 'Batch', entity_ids: ['user:1'] }),
    Infinity,
  );
  expect(entityIds).toEqual(['user:1']);
  expect(entityIds).toSatisfy(Object.isFrozen);
});

it('decodeMessage() freezes the position, which all caches share', () => {
  const { at } = decodeMessage(wire({ at: { pg: '0/1' } }), Infinity);
  expect(at).toEqual({ pg: '0/1' });
  expect(at).toSatisfy(Object.isFrozen);
});

describe('encodeMessage(): invalid metadata', () => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000));

  it.each([
    ['a cycle', cycle],
    ['a bigint', { id: 1n }],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a __proto__ key', JSON.parse('{"a":[{"__proto__":1}]}')],
    ['half a character', 'cut \ud83c'],
    ['bottomless nesting', deep],
  ])('is rejected: %s', (_, metadata) => {
    const message = new Instance('s').stamp(entity('User', 1, { metadata }));
    expect(() => encodeMessage(message, MAX)).toThrow(
      InvalidationSerializationError,
    );
  });

  it('is rejected when the message exceeds its limit of bytes', () => {
    const message = new Instance('s').stamp(everything('日'.repeat(1_000)));
    const bytes = Buffer.byteLength(encodeMessage(message, MAX));
    expect(() => encodeMessage(message, bytes)).not.toThrow();
    expect(() => encodeMessage(message, bytes - 1)).toThrow(`${bytes} bytes`);
  });
});

describe('decodeMessage(): lenient reading', () => {
  it('reads a missing optional field as null', () => {
    const absent = wire({
      pattern: undefined,
      entity_ids: undefined,
      metadata: undefined,
    });
    expect(absent).not.toContain('pattern');
    expect(decode(absent)).toEqual(decode(wire()));
    expect(
      decode(wire({ origin: null, offset: null, previous: null })),
    ).toEqual(decode(wire()));
  });

  it('ignores unknown fields', () => {
    const fields = { version: 2, keys: ['a'], constructor: { prototype: 1 } };
    expect(decode(wire(fields))).toEqual(decode(wire()));
  });

  it('keeps origin and offsets', () => {
    const said = { origin: 'o', offset: '2-0', previous: '1-0' };
    expect(decode(wire(said))).toEqual({ ...decode(wire()), ...said });
  });
});

describe('decodeMessage(): messages that are not fully understood', () => {
  it.each([
    ['an unknown action of a known type', { action: 'Touch' }, 'user:*'],
    [
      'an unknown action of a custom type',
      { action: 'Touch', entity_type: { Custom: 'session' } },
      'session:*',
    ],
    [
      'an unknown action of a type that looks like a glob',
      { action: 'Touch', entity_type: { Custom: 'a*[b' } },
      'a\\*\\[b:*',
    ],
    ['an empty action', { action: '' }, 'user:*'],
    ['a built-in type of a version to come', { entity_type: 'Group' }, '*'],
    ['a type of another form', { entity_type: { Tenant: ['a', 1] } }, '*'],
    ['a type of no form', { entity_type: {} }, '*'],
    [
      'a custom type named as a built-in',
      { entity_type: { Custom: 'User' } },
      '*',
    ],
    [
      'an unknown action of an empty type',
      { action: 'Touch', entity_type: { Custom: '' } },
      '*',
    ],
    [
      'an unknown action of a type with a colon',
      { action: 'Touch', entity_type: { Custom: 'a:b' } },
      '*',
    ],
    ['a Delete without an id', { entity_id: null }, 'user:*'],
    ['a Delete with an empty id', { entity_id: '' }, 'user:*'],
    [
      'an Update without an id',
      { action: 'Update', entity_id: null },
      'user:*',
    ],
    [
      'a Delete of a custom type without an id',
      { entity_type: { Custom: 'session' }, entity_id: undefined },
      'session:*',
    ],
    ...[null, '', `${'a'.repeat(1_024)}*`].map(
      (pattern) =>
        [
          `a Pattern with ${pattern === null ? 'none' : `one of ${pattern.length} characters`}`,
          { action: 'Pattern', entity_type: { Custom: 'pattern' }, pattern },
          '*',
        ] as const,
    ),
    [
      'a Batch without keys',
      { action: 'Batch', entity_type: { Custom: 'batch' }, entity_ids: null },
      '*',
    ],
    ...['2', ':2'].map(
      (key) =>
        [
          `a Batch with the bare id ${key}`,
          {
            action: 'Batch',
            entity_type: { Custom: 'batch' },
            entity_ids: ['user:1', key],
          },
          '*',
        ] as const,
    ),
  ] as const)('are widened: %s', (_, changes, pattern) => {
    expect(decode(wire({ entity_id: '1', ...changes }))).toEqual({
      ...decode(wire()),
      action: 'Pattern',
      entityType: 'pattern',
      entityId: null,
      pattern,
      entityIds: null,
      widened: 'not-understood',
    });
  });

  it('are not patterns of the greatest length', () => {
    const pattern = `${'a'.repeat(1_023)}*`;
    const said = { action: 'Pattern', entity_type: { Custom: 'pattern' } };
    expect(decode(wire({ ...said, pattern }))).toMatchObject({
      pattern,
      widened: null,
    });
  });

  it.each([
    ['Pattern', { pattern: 'user:*' }],
    ['Batch', { entity_ids: ['user:1'] }],
  ])(
    'decode again after they were encoded: a %s of an unknown type',
    (action, said) => {
      const message = decode(wire({ action, entity_type: 'Group', ...said }));
      const again = decode(encodeMessage(message, MAX));
      expect(again).toEqual({ ...message, widened: null });
      expect(message.entityType).toBe(action.toLowerCase());
    },
  );
});
