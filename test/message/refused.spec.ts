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

it('the message that these spoil is a good one', () => {
  expect(decodeMessage(wire(), MAX).widened).toBeNull();
  expect(decodeMessage(wireRaw('metadata', `"${SECRET}"`), MAX)).toMatchObject({
    metadata: SECRET,
  });
});

describe('what is no object', () => {
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
  ])('is refused: %.40s', (payload) =>
    expect(refused(payload)).toBe('the payload'),
  );
});

it.each([undefined, null, 5, {}, Buffer.from(wire())])(
  'what is no text at all is refused: %s',
  (payload) => {
    expect(refusalOf(() => decodeMessage(payload as string, MAX)).field).toBe(
      'the payload',
    );
  },
);

describe('a field of a wrong kind', () => {
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
  ])('is refused: %s', (field, values) => {
    for (const value of values)
      expect(refused(wireRaw(field, value))).toBe(field);
  });

  // Fields about the way of a message are no part of its content.
  it.each(['origin', 'offset', 'previous'])(
    'counts as absent, and what the message says is understood: %s',
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

  it('counts as absent, and what the message says is understood: trace', () => {
    const said = decodeMessage(wire(), MAX);
    const many = Object.fromEntries(
      Array.from({ length: 9 }, (_, i) => [`field${i}`, '']),
    );
    const trace = { traceparent: '00-1-2-01', tracestate: 'a=b' };
    expect(decodeMessage(wire({ trace }), MAX)).toEqual({ ...said, trace });
    for (const wrong of [
      ...NO_TEXT,
      'null',
      '"17-0"',
      nested(100_000),
      '{"traceparent":1}',
      '{"traceparent":"\\ud800"}',
      '{"__proto__":"1"}',
      `{"baggage":"${'x'.repeat(10_000)}"}`,
      JSON.stringify(many),
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
  ])('is refused where it is missing: %s', (field) =>
    expect(refused(wire({ [field]: undefined }))).toBe(field),
  );
});

describe('metadata that would hurt whoever gets it', () => {
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
  ])('is given up, and what the message says is obeyed: %.60s', (json) => {
    const said = decodeMessage(wire(), MAX);
    const text = wireRaw('metadata', json);
    expect(decodeMessage(text, MAX)).toEqual({ ...said, metadata: null });
    expect(parseMessage(JSON.parse(text))).toEqual({ ...said, metadata: null });
  });

  it.each([() => 1, 1n, Number.NaN, Symbol('s')])(
    'is given up where JSON has no such thing: %s',
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
  ])('is not mistaken for what it resembles: %.60s', (json) => {
    const { metadata } = decodeMessage(wireRaw('metadata', json), MAX);
    expect(metadata).toEqual(JSON.parse(json));
  });
});

describe('keys that reach for a prototype', () => {
  it.each(['{"polluted":true}', 'null', '1'])(
    'are refused in the message itself: "__proto__":%s',
    (json) => {
      expect(refused(wireRaw('__proto__', json))).toBe('the payload');
    },
  );

  it('give no field of the message its value', () => {
    expect(refused(`{"__proto__":${wire()}}`)).toBe('message_id');
  });

  it('are passed over where nothing is read from them', () => {
    const said = decodeMessage(wire(), MAX);
    const reaching = '{"prototype":{"polluted":true}}';
    expect(decodeMessage(wireRaw('constructor', reaching), MAX)).toEqual(said);
    const type = '{"Custom":"s","__proto__":{"polluted":true}}';
    expect(refused(wireRaw('entity_type', type))).toBe('entity_type');
  });
});

describe('a message that is too large', () => {
  it('is refused unread', () => {
    const payload = SECRET.repeat(1_500_000);
    expect(payload.length).toBeGreaterThan(10_000_000);
    expect(refused(payload)).toBe(null);
    expect(() => decodeMessage(payload, MAX)).toThrow('10500000 bytes');
  });

  it('is read where that is allowed', () => {
    const metadata = 'x'.repeat(10_000_000);
    expect(decodeMessage(wire({ metadata }), Infinity)).toMatchObject({
      metadata,
    });
  });

  it.each(['x', 'é', '日', '🎉'])(
    'is measured in bytes, to the last one: of %s',
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

describe('a value that was parsed elsewhere', () => {
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
  ])('is refused where it is no object: %s', (value) => {
    expect(refusalOf(() => parseMessage(value)).field).toBe('the payload');
  });

  it.each([
    ['entity_id', Object('1')],
    ['entity_ids', new Set(['user:1'])],
    ['timestamp', new Date()],
  ])('is refused where JSON has no such thing: %s', (field, value) => {
    const read = (): unknown => parseMessage({ ...WIRE, [field]: value });
    expect(refusalOf(read).field).toBe(field);
  });
});
