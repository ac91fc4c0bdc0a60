import {
  everything,
  glob,
  InvalidationSerializationError,
  pattern,
} from 'nestjs-cache-invalidation';
import { decodeMessage, encodeMessage } from 'nestjs-cache-invalidation/wire';
import { describe, expect, it } from 'vitest';
import { Instance } from '../../lib/message/index.js';
import { refusalOf } from './refusal.js';
import { wire, wireRaw } from './wire.js';

const MAX = 1_000_000;
const ADVICE =
  'Another program publishes something else on this channel, or uses another version of the format.';

describe('decodeMessage(): a refusal names the field and what belongs there', () => {
  it.each([
    ['the payload is not text', 5 as unknown as string],
    ['the payload is not JSON', '{'],
    ['the payload is not a JSON object', '[]'],
    ['message_id is not a UUID', wire({ message_id: '1' })],
    [
      'message_id is not a UUID',
      wire({ message_id: `${'0'.repeat(23)}-${'0'.repeat(12)}` }),
    ],
    [
      'message_id is not a UUID',
      wire({ message_id: `${'0'.repeat(8)}-${'0'.repeat(27)}` }),
    ],
    [
      'entity_type is not a name or {"Custom": name}',
      wire({ entity_type: null }),
    ],
    ['entity_id is not a string or null', wire({ entity_id: 1 })],
    ['pattern is not a string or null', wire({ pattern: 1 })],
    [
      'entity_ids is not an array of cache keys or null',
      wire({ entity_ids: [1] }),
    ],
    ['action is not a string', wire({ action: null })],
    ['timestamp is not RFC 3339', wire({ timestamp: 'today' })],
    ['source_service is not a string', wire({ source_service: 1 })],
    ['the payload is not free of __proto__', wireRaw('__proto__', 'null')],
    [
      'source_service is not well-formed Unicode',
      wireRaw('source_service', '"\\ud83c"'),
    ],
  ])('%s', (fault, payload) => {
    const { message, advice } = refusalOf(() => decodeMessage(payload, MAX));
    expect(message).toContain(`Not an invalidation message: ${fault}.`);
    expect(advice).toBe(ADVICE);
  });

  it('says how large a message may be', () => {
    const { message } = refusalOf(() => decodeMessage(wire(), 100));
    expect(message).toContain('was refused unread');
    expect(message).toContain('At most 100 are read (option maxMessageBytes).');
  });
});

describe('encodeMessage(): a refusal says what to do', () => {
  const encode = (metadata: unknown, max = MAX): string =>
    encodeMessage(new Instance('s').stamp(everything(metadata)), max);

  it('names the plain JSON that metadata must be, and keeps the cause', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const refusal = (metadata: unknown): InvalidationSerializationError => {
      try {
        encode(metadata);
      } catch (error) {
        return error as InvalidationSerializationError;
      }
      throw new Error('It was accepted.');
    };
    expect(refusal(cycle)).toMatchObject({
      message:
        'The metadata cannot be sent. Give plain JSON: no cycles, bigints or functions, no __proto__ key, no deep nesting.',
      cause: expect.any(TypeError),
    });
    expect(refusal(() => 0).cause).toBeUndefined();
  });

  it('names the option that bounds a message', () => {
    expect(() => encode('x'.repeat(1_000), 500)).toThrow(
      'At most 500 are sent (option maxMessageBytes); shorten its ids or its metadata.',
    );
  });
});

describe('A refusal of an argument', () => {
  it('shows what is no pattern, and gives an example', () => {
    expect(() => pattern('')).toThrow(
      '"" is not a pattern. Give a Redis glob such as "feed:42:*".',
    );
  });

  it('says that glob is a tag', () => {
    const call = glob as unknown as (text: unknown) => string;
    expect(refusalOf(() => call('feed:*'))).toMatchObject({
      message: expect.stringContaining(
        'glob("feed:*") cannot know what to escape.',
      ),
      field: 'pattern',
    });
    expect(refusalOf(() => call(null)).field).toBe('pattern');
  });
});
