import { describe, expect, it } from 'vitest';
import {
  addPlace,
  decodeMessage,
  encodeMessage,
  encodeOrigin,
  entity,
  Instance,
  isSignedWith,
} from '../../lib/message/index.js';

const MAX_BYTES = 4_096;

describe('Instance', () => {
  it('has an origin of its own, whatever its service name', () => {
    const [one, other] = [new Instance('users'), new Instance('users')];
    expect(one.origin).not.toBe(other.origin);
  });

  it('stamps an invalidation with id, time, service and origin', () => {
    const instance = new Instance('users');
    const invalidation = entity('User', 7, { metadata: { by: 'test' } });
    const message = instance.stamp(invalidation, Date.UTC(2026, 10, 28));
    expect(message).toEqual({
      ...invalidation,
      messageId: message.messageId,
      timestamp: '2026-11-28T00:00:00.000000Z',
      sourceService: 'users',
      origin: instance.origin,
      offset: null,
      previous: null,
      trace: null,
      at: null,
      region: null,
      path: null,
      own: true,
      widened: null,
    });
    expect(message.messageId).toMatch(/^[0-9a-f-]{36}$/);
    expect(instance.stamp(invalidation).messageId).not.toBe(message.messageId);
  });

  it('makes a message for everything that names its cause', () => {
    const message = new Instance('users').widened('missed');
    expect(message).toMatchObject({
      action: 'Pattern',
      entityType: 'pattern',
      pattern: '*',
      sourceService: 'users',
      widened: 'missed',
    });
  });
});

describe('isSignedWith()', () => {
  const instance = new Instance('users');
  const signature = encodeOrigin(instance.origin);
  const payload = encodeMessage(instance.stamp(entity('User', 1)), MAX_BYTES);

  it('recognizes the payloads of its origin, with a place or without', () => {
    expect(isSignedWith(payload, signature)).toBe(true);
    expect(isSignedWith(addPlace(payload, '7-1', '7-0'), signature)).toBe(true);
  });

  it('refuses every origin that differs in one digit', () => {
    const { origin } = instance;
    const changed = Array.from(origin)
      .map((digit, at) => {
        const other = digit === '0' ? '1' : '0';
        return origin.slice(0, at) + other + origin.slice(at + 1);
      })
      .map((text) => isSignedWith(payload, encodeOrigin(text)));
    expect(changed).toEqual(Array(origin.length).fill(false));
  });

  it('refuses an origin that is not at the end', () => {
    expect(isSignedWith(`${payload} `, signature)).toBe(false);
    expect(isSignedWith('', signature)).toBe(false);
  });
});

describe('addPlace()', () => {
  it('adds offset and previous, and changes nothing else', () => {
    const payload = encodeMessage(
      new Instance('users').stamp(entity('User', 1)),
      MAX_BYTES,
    );
    const placed = addPlace(payload, '7-1', '7-0');
    expect(decodeMessage(placed, MAX_BYTES)).toEqual({
      ...decodeMessage(payload, MAX_BYTES),
      offset: '7-1',
      previous: '7-0',
    });
    expect(Object.keys(JSON.parse(placed) as object).slice(-3)).toEqual([
      'offset',
      'previous',
      'origin',
    ]);
  });
});
