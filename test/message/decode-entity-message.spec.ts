import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { decodeEntityMessage } from '../../lib/message/decode-entity-message.js';
import {
  addPlace,
  decodeMessage,
  encodeMessage,
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';

const MAX_BYTES = 1_048_576;
// Mutants are judged by fewer, for each of them.
const COUNT = process.env['MUTATION_AREAS'] === undefined ? 1_000_000 : 50_000;
const SEED = Number(process.env['DECODER_SEED'] ?? Date.now() % 2 ** 31);

/** Numbers from 0 to below `limit`, determined by the seed: mulberry32. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** Uses the general decoder alone: the fast one rejects a leading space. */
function decodeGenerally(payload: string): InvalidationMessage | null {
  try {
    return decodeMessage(` ${payload}`, MAX_BYTES);
  } catch {
    return null;
  }
}

const UUID = '0b4f1a3e-27c8-4dc4-9f6b-52d2f5f0a111';
const NASTY = [
  ['', ' ', '"', '\\', '\\"', '\\u0041', '\\ud800', '\ud800', '\udc00x'],
  ['\n', '\0', '\u001f', '\u007f', '\u2028', 'é', '日本', '🎉', '__proto__'],
  [
    'null',
    ':',
    'a:b',
    '*',
    '{',
    '}',
    ',',
    '","x":"',
    '","offset":"1-1',
    'true',
  ],
].flat();

/** Values of each field, as correct and faulty writers send them. */
const VALUES = {
  id: [UUID, UUID.toUpperCase(), UUID.slice(1), `${UUID}0`, '日'.repeat(36)],
  type: [
    '"User"',
    '"Feed"',
    '"user"',
    '"pattern"',
    '{"Custom":"session"}',
  ].concat([
    '{"Custom":"User"}',
    '{"Custom":""}',
    '{"Custom":"\ud800"}',
    '{"Custom": "x"}',
  ]),
  entityId: ['1', '42', UUID, 'x'.repeat(300), 'x'.repeat(5_000)],
  action: ['Delete', 'Update', 'Pattern', 'Batch', 'delete'],
  timestamp: [
    '2026-11-28T17:00:00.123456Z',
    '2026-11-28t17:00:00+01:00',
    '2026-02-30T17:00:00Z',
    '2026-13-28T17:00:00Z',
    'now',
  ],
  metadata: ['null', 'null', 'null', 'null', '{}', '0', '"null"'],
  place: ['', ',"offset":"7-1","previous":"7-0"', ',"offset":"7-1"'].concat(
    [',"offset":"x","previous":""', ',"previous":"7-0","offset":"7-1"'],
    [',"offset":7,"previous":8', ',"trace":{"traceparent":"00-1"}'],
  ),
};

function makePayload(draw: (limit: number) => number): string {
  const of = (values: readonly string[]): string =>
    // Mostly the first value, or few payloads would have only correct fields.
    values[draw(3) > 0 ? 0 : draw(values.length)]!;
  const text = (values: readonly string[]): string =>
    draw(12) === 0 ? NASTY[draw(NASTY.length)]! : of(values);
  const payload =
    `{"message_id":"${text(VALUES.id)}","entity_type":${of(VALUES.type)}` +
    `,"entity_id":"${text(VALUES.entityId)}","pattern":null,"entity_ids":null` +
    `,"action":"${text(VALUES.action)}","timestamp":"${text(VALUES.timestamp)}"` +
    `,"source_service":"${text(['users'])}","metadata":${of(VALUES.metadata)}` +
    of(VALUES.place) +
    (draw(4) === 0 ? '}' : `,"origin":"${text(VALUES.id)}"}`);
  return draw(4) === 0 ? mutate(payload, draw) : payload;
}

/** Replaces, inserts or removes a few characters somewhere. */
function mutate(payload: string, draw: (limit: number) => number): string {
  const at = draw(payload.length);
  const removed = draw(3);
  const added = draw(2) === 0 ? '' : NASTY[draw(NASTY.length)]!;
  return payload.slice(0, at) + added + payload.slice(at + removed);
}

describe('decodeEntityMessage', () => {
  it(`decodes as the general decoder does, or not at all: ${COUNT} payloads, DECODER_SEED=${SEED}`, () => {
    const draw = random(SEED);
    const different: string[] = [];
    let decoded = 0;
    for (let i = 0; i < COUNT; i++) {
      const payload = makePayload(draw);
      const message = decodeEntityMessage(payload);
      if (message === null) continue;
      decoded++;
      const expected = JSON.stringify(decodeGenerally(payload));
      if (JSON.stringify(message) !== expected) different.push(payload);
    }
    expect(different.slice(0, 3)).toEqual([]);
    expect(decoded).toBeGreaterThan(COUNT / 20);
    expect(decoded).toBeLessThan(COUNT / 2);
  });

  const instance = new Instance('users');
  const encode = (message: InvalidationMessage): string =>
    encodeMessage(message, MAX_BYTES);

  it.each([
    ['a built-in type', entity('User', 1)],
    ['a custom type', entity('session', 'abc', { action: 'Update' })],
    ['an id beyond ASCII', entity('Post', 'é 日 🎉')],
  ])('decodes what this library publishes about %s', (_, invalidation) => {
    const payload = encode(instance.stamp(invalidation));
    const byOthers = payload.replace(/,"origin".*/, '}');
    for (const sent of [payload, addPlace(payload, '7-1', '7-0'), byOthers]) {
      const message = decodeEntityMessage(sent);
      expect(message).not.toBeNull();
      expect(message).toStrictEqual(decodeGenerally(sent));
    }
  });

  it.each([
    ['metadata', entity('User', 1, { metadata: { by: 'admin' } })],
    ['an id with an escape', entity('User', 'say "hi"')],
    ['an id longer than 4 KB', entity('User', 'x'.repeat(4_096))],
  ])('leaves a message with %s to the general decoder', (_, invalidation) => {
    const payload = encode(instance.stamp(invalidation));
    expect(decodeEntityMessage(payload)).toBeNull();
    expect(decodeMessage(payload, MAX_BYTES)).toMatchObject(invalidation);
  });

  it('does not retain the payload of a text that a handler may keep', () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const kept: (string | null)[] = [];
    gc();
    const before = process.memoryUsage().heapUsed;
    for (let at = 0; at < 5_000; at++) {
      const invalidation = entity('User', `${UUID}-${at}`);
      const payload = encode({
        ...instance.stamp(invalidation),
        sourceService: 'x'.repeat(3_000),
      });
      // As from a socket: texts that were added up are not cut out as views.
      const sent = Buffer.from(addPlace(payload, `1763846400000-${at}`, '0-0'));
      const message = decodeEntityMessage(sent.toString())!;
      kept.push(message.messageId, message.entityId, message.offset);
    }
    gc();
    const bytes = process.memoryUsage().heapUsed - before;
    expect(kept).not.toContain(null);
    expect(bytes).toBeLessThan(8_000_000);
  });
});
