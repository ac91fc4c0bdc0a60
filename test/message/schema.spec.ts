import 'reflect-metadata';
import { BadRequestException, ValidationPipe } from '@nestjs/common';
import * as fc from 'fast-check';
import { InvalidMessageError } from 'nestjs-cache-invalidation';
import {
  encodeMessage,
  InvalidationMessageDto,
  parseMessage,
} from 'nestjs-cache-invalidation/wire';
import { describe, expect, it } from 'vitest';
import * as arbitrary from './arbitraries.js';
import { wire, wireRaw } from './wire.js';

const pipe = new ValidationPipe({
  transform: true,
  expectedType: InvalidationMessageDto,
});

/** Validates a body as a controller's `@Body()` does. */
function validate(body: unknown): Promise<unknown> {
  return pipe.transform(body, { type: 'body', metatype: Object });
}

/** A new object each time, since the pipe changes its argument. */
const parsed = (payload: string): unknown => JSON.parse(payload);

async function isValid(payload: string): Promise<boolean> {
  try {
    await validate(parsed(payload));
    return true;
  } catch (error) {
    if (error instanceof BadRequestException) return false;
    throw error;
  }
}

function isParsed(payload: string): boolean {
  try {
    parseMessage(parsed(payload));
    return true;
  } catch (error) {
    if (error instanceof InvalidMessageError) return false;
    throw error;
  }
}

const FIELDS = [
  ...Object.keys(parsed(wire()) as object),
  'origin',
  'offset',
  'previous',
  'trace',
  'at',
  'region',
  'path',
];

const json = fc
  .oneof(
    fc.constantFrom(null, '', 0, true, [], {}, '\ud800', { Custom: 'User' }),
    fc.constantFrom({ Custom: 1 }, { Custom: null }, { Other: '\ud800' }),
    fc.constantFrom(['user:1', null], [['user:1']], { a: '\ud800' }),
    fc.constantFrom('2026-11-22T13:17:12Z', '2026-11-22', 'User'),
    fc.jsonValue({ maxDepth: 4 }),
    fc.integer({ min: 30, max: 35 }).map(nested),
  )
  .filter(arbitrary.inheritsNoKey);

/** Nested arrays, about as deep as metadata may be. */
function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

const mutation = fc.tuple(
  fc.constantFrom(...FIELDS),
  fc.oneof(fc.constant(undefined), json),
);

const mutated = fc
  .tuple(arbitrary.message, fc.array(mutation, { maxLength: 3 }))
  .map(([message, mutations]) =>
    JSON.stringify({
      ...(parsed(encodeMessage(message, Infinity)) as object),
      ...Object.fromEntries(mutations),
    }),
  );

const payload = fc.oneof(
  { arbitrary: mutated, weight: 9 },
  { arbitrary: json.map((value) => JSON.stringify(value)), weight: 1 },
);

it('The schema and parseMessage() accept and reject the same payloads', async () => {
  const runs = 4_000;
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(payload, async (text) => {
      const valid = isParsed(text);
      accepted += Number(valid);
      expect(await isValid(text)).toBe(valid);
    }),
    { numRuns: runs },
  );
  expect(accepted).toBeGreaterThan(runs / 4);
  expect(accepted).toBeLessThan((runs * 3) / 4);
});

it('A payload that passes the pipe is parsed to the same message', async () => {
  await fc.assert(
    fc.asyncProperty(arbitrary.message, async (message) => {
      const text = encodeMessage(message, Infinity);
      expect(parseMessage(await validate(parsed(text)))).toEqual(message);
    }),
  );
});

it.each(['origin', 'offset', 'previous', 'trace', 'at', 'region', 'path'])(
  'The schema and parseMessage() accept any value for %s',
  async (field) => {
    const said = parseMessage(parsed(wire()));
    for (const value of ['1', '[]', '{"a":{}}', '"\\ud800"', 'null', 'true']) {
      const text = wireRaw(field, value);
      expect(parseMessage(parsed(text))).toEqual(said);
      expect(parseMessage(await validate(parsed(text)))).toEqual(said);
    }
  },
);

it('The pipe names the invalid fields', async () => {
  const body = parsed(wire({ message_id: 'x', entity_ids: [1] }));
  await expect(validate(body)).rejects.toMatchObject({
    response: {
      message: [
        'message_id must be a UUID',
        'entity_ids must be an array of cache keys or null',
      ],
    },
  });
});

describe('Prototype pollution', () => {
  const PAYLOADS = [
    wireRaw('__proto__', '{"polluted":true}'),
    wireRaw('constructor', '{"prototype":{"polluted":true}}'),
    wireRaw('metadata', '{"__proto__":{"polluted":true}}'),
    wireRaw(
      'metadata',
      '{"a":{"constructor":{"prototype":{"polluted":true}}}}',
    ),
    wireRaw('entity_type', '{"Custom":"s","__proto__":{"polluted":true}}'),
  ];

  it.each(PAYLOADS)(
    'is impossible through the pipe and parseMessage(): %s',
    async (text) => {
      const pristine = Reflect.ownKeys(Object.prototype);
      const read = [
        isParsed(text) && parseMessage(parsed(text)),
        (await isValid(text)) && (await validate(parsed(text))),
      ];
      expect(Reflect.ownKeys(Object.prototype)).toEqual(pristine);
      for (const value of read) {
        expect(value).not.toHaveProperty('polluted');
        expect(value).not.toHaveProperty('metadata.polluted');
        expect(JSON.stringify(value)).not.toContain('polluted');
      }
    },
  );
});
