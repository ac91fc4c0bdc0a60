import { decodeMessage, parseMessage } from 'nestjs-cache-invalidation/wire';
import { afterEach, describe, expect, it } from 'vitest';
import { refusalOf } from './refusal.js';
import { WIRE, wire, wireRaw } from './wire.js';

const MAX = 4_194_304;

/** Part of every rejected value, which must never reach a log. */
const SECRET = 'hunter2';

/** Field for which a payload is rejected, unless the error quotes the payload. */
function refused(payload: string): string | null {
  const { stack, advice, cause, field } = refusalOf(() =>
    decodeMessage(payload, MAX),
  );
  const told = `${stack} ${advice} ${String(cause)}`;
  return told.includes(SECRET) ? `a secret told: ${told}` : field;
}

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

const PRISTINE = Reflect.ownKeys(Object.prototype);

afterEach(() => {
  const now = Reflect.ownKeys(Object.prototype);
  if (now.length !== PRISTINE.length) throw new Error('It was polluted.');
});

it('decodeMessage() accepts the message that the other tests corrupt', () => {
  expect(decodeMessage(wire(), MAX).widened).toBeNull();
  expect(decodeMessage(wireRaw('metadata', `"${SECRET}"`), MAX)).toMatchObject({
    metadata: SECRET,
  });
  const metadata = { shape: { prototype: 1 }, constructor: 'Ford' };
  expect(decodeMessage(wire({ metadata }), MAX)).toMatchObject({ metadata });
});

describe('decodeMessage(): a payload that is not an object', () => {
  it.each([
    '',
    ' ',
    SECRET,
    `{"message_id":"${SECRET}`,
    `${wire()}${wire()}`,
    `'${SECRET}'`,
    'NaN',
    'undefined',
    '\ufeff' + wire(),
    '['.repeat(100_000),
    'null',
    'true',
    '0',
    '1e400',
    `"${SECRET}"`,
    '[]',
    `[${wire()}]`,
    nested(100_000),
  ])('is rejected: payload %#', (payload) =>
    expect(refused(payload)).toBe('the payload'),
  );
});

it.each([undefined, null, 5, {}, Buffer.from(wire())])(
  'decodeMessage() rejects a payload that is not a string: %s',
  (payload) => {
    expect(refusalOf(() => decodeMessage(payload as string, MAX)).field).toBe(
      'the payload',
    );
  },
);

describe('decodeMessage(): a field of a wrong type', () => {
  const NOT_TEXT = ['1', 'true', '[]', `["${SECRET}"]`, '{}'];
  const HALF = [
    `"${SECRET}\\ud800"`,
    '"\\udc00"',
    '"\\ude00\\ud83d"',
    '"\\ud83d \\ude00"',
  ];
  const NO_TEXT = [...NOT_TEXT, ...HALF];

  it.each<[field: string, values: string[]]>([
    [
      'message_id',
      [
        ...NO_TEXT,
        'null',
        '""',
        `"${SECRET}"`,
        '"3497a5ba-f0f9-449b-a722-4780af41993"',
        '"3497a5ba-f0f9-449b-a722-4780af4199380"',
        '"3497a5baf0f9449ba7224780af419938"',
        '" 3497a5ba-f0f9-449b-a722-4780af419938"',
        '"3497a5ba-f0f9-449b-a722+4780af419938"',
        '"3497a5b\\ud800-f0f9-449b-a722-4780af419938"',
        '"3497a5ba-f0f9-449b-a722-4780af419938\\n"',
        '"{3497a5ba-f0f9-449b-a722-4780af419938}"',
      ],
    ],
    [
      'entity_type',
      [
        ...NO_TEXT.filter((value) => value !== '{}'),
        'null',
        ...NO_TEXT.map((value) => `{"Custom":${value}}`),
        '{"Custom":null}',
      ],
    ],
    ['entity_id', NO_TEXT],
    ['pattern', NO_TEXT],
    [
      'entity_ids',
      [
        `"${SECRET}"`,
        '1',
        'true',
        '{}',
        '{"length":1,"0":"user:1"}',
        ...[...NO_TEXT, 'null'].map((value) => `["user:1",${value}]`),
      ],
    ],
    ['action', [...NO_TEXT, 'null']],
    [
      'timestamp',
      [
        ...NO_TEXT,
        'null',
        '""',
        `"${SECRET}"`,
        '"2026-11-22"',
        '"2026-11-22 13:17:12Z"',
        '"2026-11-22T13:17:12"',
        '"2026-13-22T13:17:12Z"',
        '"2026-11-22T24:00:00Z"',
        '"2026-11-22T13:17:12.Z"',
        '"2026-11-22T13:17:12.1234567890Z"',
        '"2026-11-22T13:17:12+0100"',
        '"+002026-11-22T13:17:12Z"',
        '"Sun, 22 Nov 2026 13:17:12 GMT"',
        '1795353432876',
      ],
    ],
    ['source_service', [...NO_TEXT, 'null']],
  ])('is rejected: %s', (field, values) => {
    for (const value of values)
      expect(refused(wireRaw(field, value))).toBe(field);
  });

  // Fields about the way of a message are no part of its content.
  it.each(['origin', 'offset', 'previous'])(
    'is ignored, and the message understood: %s',
    (field) => {
      const said = decodeMessage(wire(), MAX);
      expect(decodeMessage(wireRaw(field, '"17-0"'), MAX)).toEqual({
        ...said,
        [field]: '17-0',
      });
      for (const value of [...NO_TEXT, 'null', nested(100_000), '1e400']) {
        expect(decodeMessage(wireRaw(field, value), MAX)).toEqual(said);
        expect(parseMessage(JSON.parse(wireRaw(field, value)))).toEqual(said);
      }
    },
  );

  it('is ignored, and the message understood: trace', () => {
    const said = decodeMessage(wire(), MAX);
    const fields = (length: number) =>
      Object.fromEntries(Array.from({ length }, (_, i) => [`field${i}`, '']));
    const baggage = (length: number) => ({
      baggage: 'x'.repeat(length - 'baggage'.length),
    });
    for (const trace of [
      { traceparent: '00-1-2-01', tracestate: 'a=b' },
      fields(8),
      baggage(8_192 + 64),
    ]) {
      expect(decodeMessage(wire({ trace }), MAX)).toEqual({ ...said, trace });
    }
    for (const wrong of [
      ...NO_TEXT,
      'null',
      '"17-0"',
      nested(100_000),
      '{"traceparent":1}',
      '{"traceparent":"00-1-2-01","tracestate":1}',
      '{"traceparent":"\\ud800"}',
      '{"__proto__":"1"}',
      JSON.stringify(baggage(8_192 + 65)),
      JSON.stringify(fields(9)),
    ]) {
      expect(decodeMessage(wireRaw('trace', wrong), MAX)).toEqual(said);
      expect(parseMessage(JSON.parse(wireRaw('trace', wrong)))).toEqual(said);
    }
  });

  it.each([
    'message_id',
    'entity_type',
    'action',
    'timestamp',
    'source_service',
  ])('is rejected when it is missing: %s', (field) =>
    expect(refused(wire({ [field]: undefined }))).toBe(field),
  );
});

describe('decodeMessage(): dangerous metadata', () => {
  it.each([
    '{"__proto__":{"polluted":true}}',
    '{"a":[{"b":{"__proto__":{"polluted":true}}}]}',
    '{"__proto__":null}',
    '{"\\u005f_proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    '[{"constructor":{"prototype":null}}]',
    '1e400',
    '{"a":[-1e400]}',
    `"${SECRET}\\ud800"`,
    `{"a":["\\udfff ${SECRET}"]}`,
    `{"${SECRET}\\ud800":1}`,
    nested(33),
    nested(100_000),
    '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000),
  ])('is dropped, and the message understood: metadata %#', (json) => {
    const said = decodeMessage(wire(), MAX);
    const text = wireRaw('metadata', json);
    expect(decodeMessage(text, MAX)).toEqual({ ...said, metadata: null });
    expect(parseMessage(JSON.parse(text))).toEqual({ ...said, metadata: null });
  });

  it.each([() => 1, 1n, Number.NaN, Symbol('s')])(
    'is dropped when JSON cannot express it: %s',
    (metadata) => {
      const said = parseMessage(WIRE);
      expect(parseMessage({ ...WIRE, metadata })).toEqual(said);
    },
  );

  it.each([
    '{"proto":1,"constructor":"Ltd","prototype":{"a":1}}',
    '{"constructor":{"name":"Ltd"}}',
    '"\\ud83d\\ude00"',
    '1e308',
    nested(32),
  ])('is not confused with harmless metadata %#', (json) => {
    const { metadata } = decodeMessage(wireRaw('metadata', json), MAX);
    expect(metadata).toEqual(JSON.parse(json));
  });
});

describe('decodeMessage(): prototype pollution', () => {
  it.each(['{"polluted":true}', 'null', '1'])(
    'rejects "__proto__":%s in the message',
    (json) => {
      expect(refused(wireRaw('__proto__', json))).toBe('the payload');
    },
  );

  it('does not read fields from "__proto__"', () => {
    expect(refused(`{"__proto__":${wire()}}`)).toBe('message_id');
  });

  it('ignores such keys in places that are not read', () => {
    const said = decodeMessage(wire(), MAX);
    const reaching = '{"prototype":{"polluted":true}}';
    expect(decodeMessage(wireRaw('constructor', reaching), MAX)).toEqual(said);
    const type = '{"Custom":"s","__proto__":{"polluted":true}}';
    expect(refused(wireRaw('entity_type', type))).toBe('entity_type');
  });
});

describe('decodeMessage(): a message that is too large', () => {
  it('is rejected unparsed', () => {
    const payload = SECRET.repeat(1_500_000);
    expect(payload.length).toBeGreaterThan(10_000_000);
    expect(refused(payload)).toBe(null);
    expect(() => decodeMessage(payload, MAX)).toThrow('10500000 bytes');
  });

  it('is decoded if the limit allows', () => {
    const metadata = 'x'.repeat(10_000_000);
    expect(decodeMessage(wire({ metadata }), Infinity)).toMatchObject({
      metadata,
    });
  });

  it.each(['x', 'é', '日', '🎉'])(
    'is measured in bytes, exactly: of %s',
    (character) => {
      const payload = wire({ metadata: character.repeat(500) });
      const bytes = Buffer.from(payload).length;
      expect(decodeMessage(payload, bytes).metadata).toHaveLength(
        500 * character.length,
      );
      const error = refusalOf(() => decodeMessage(payload, bytes - 1));
      expect(error.message).toContain(`${bytes} bytes`);
    },
  );
});

describe('parseMessage()', () => {
  it.each([
    undefined,
    null,
    0,
    '',
    wire(),
    [],
    [WIRE],
    () => WIRE,
    Symbol('s'),
  ])('rejects a value that is not an object: %s', (value) => {
    expect(refusalOf(() => parseMessage(value)).field).toBe('the payload');
  });

  it.each([
    ['entity_id', Object('1')],
    ['entity_ids', new Set(['user:1'])],
    ['timestamp', new Date()],
  ])('rejects a value that JSON cannot express: %s', (field, value) => {
    const read = (): unknown => parseMessage({ ...WIRE, [field]: value });
    expect(refusalOf(read).field).toBe(field);
  });
});
