import { describe, expect, it, vi } from 'vitest';
import {
  InvalidationConfigurationError,
  InvalidationSerializationError,
} from '../../lib/errors/index.js';
import { entity, type Invalidation } from '../../lib/message/index.js';
import type { InstanceOptions } from '../support/parts.js';
import { stopTime } from './clock.js';
import { makeInstance } from './parts.js';

function makeSubscriber(given: Partial<InstanceOptions> = {}) {
  const made = makeInstance(given);
  const { stream, instance } = made;
  const receive = (invalidation: Invalidation): void =>
    stream.deliver({ ...instance.stamp(invalidation), own: false });
  return { ...made, receive };
}

describe('InvalidationSubscriber.caughtUp()', () => {
  it('waits for the offset, for a second by default', async () => {
    stopTime();
    const { subscriber, tracker } = makeSubscriber();
    const reached = vi.spyOn(tracker, 'reached').mockResolvedValue();
    await subscriber.caughtUp('5-0');
    await subscriber.caughtUp('5-0', { timeout: '2s' });
    expect(reached.mock.calls).toEqual([
      ['5-0', 1_000],
      ['5-0', 2_000],
    ]);
  });

  it('rejects what is no offset, before anything else', async () => {
    const { subscriber } = makeSubscriber({ enabled: false });
    await expect(subscriber.caughtUp('soon')).rejects.toThrow(
      new InvalidationSerializationError(
        'That is no offset.',
        'Give the offset of a receipt, such as "1763846400000-5".',
      ),
    );
  });

  it('rejects without a journal', async () => {
    const { subscriber, transport } = makeSubscriber();
    transport.journaled = false;
    await expect(subscriber.caughtUp('5-0')).rejects.toThrow(
      new InvalidationConfigurationError('caughtUp() needs the journal:', [
        {
          field: 'journal',
          problem: 'it is switched off, so no message has an offset.',
          fix: 'Give { maxLength }.',
        },
      ]),
    );
  });

  it('resolves where the module is switched off, with or without a journal', async () => {
    const { subscriber, transport } = makeSubscriber({ enabled: false });
    await subscriber.caughtUp('5-0', { timeout: 0 });
    transport.journaled = false;
    await subscriber.caughtUp('5-0', { timeout: 0 });
    await expect(
      subscriber.caughtUp('5-0', { timeout: -1 }),
    ).rejects.toBeInstanceOf(InvalidationConfigurationError);
  });
});

describe('InvalidationSubscriber.subscribe()', () => {
  it('calls a handler until it is ended, for the given types only', () => {
    const { subscriber, receive } = makeSubscriber();
    const seen: (string | null)[] = [];
    const endUsers = subscriber.subscribe(
      ({ entityId }) => seen.push(entityId),
      'User',
    );
    receive(entity('User', 1));
    receive(entity('Post', 2));
    endUsers();
    receive(entity('User', 3));
    subscriber.subscribe(({ entityId }) => seen.push(entityId));
    receive(entity('Post', 4));
    expect(seen).toEqual(['1', '4']);
  });

  it.each([
    ['a name', fail, 'fail'],
    ['none', anonymous(), 'A subscribed handler'],
  ])('names a handler with %s in an error', (_, handler, name) => {
    const { subscriber, receive, errors } = makeSubscriber();
    subscriber.subscribe(handler);
    receive(entity('User', 1));
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(`^${name} `),
    ]);
  });
});

function fail(): never {
  throw new Error('broken');
}

function anonymous(): () => void {
  return () => fail();
}

describe('InvalidationSubscriber: what it shows', () => {
  it('is the state of its parts', () => {
    stopTime();
    const made = makeSubscriber();
    const { subscriber, status, staleness, receiver } = made;
    const states: string[] = [];
    subscriber.status$.subscribe(({ state }) => states.push(state));
    status.live('slow');
    expect(states).toEqual(['stopped', 'live']);
    expect(subscriber.status).toMatchObject({ state: 'live', reason: 'slow' });

    expect(subscriber.bypass).toBe(true);
    staleness.serve();
    expect(subscriber.bypass).toBe(false);
    expect(subscriber.staleness()).toBe(Infinity);
    staleness.proven(performance.now());
    vi.advanceTimersByTime(5);
    expect(subscriber.staleness()).toBe(5);

    expect(subscriber.lag()).toBe(0);
    receiver.cursor.begin('1000-0');
    receiver.horizon.sawTail('1500-0');
    expect(subscriber.lag()).toBe(500);
  });

  it('is every message and every error', () => {
    const { subscriber, receive, receiver } = makeSubscriber();
    const seen: unknown[] = [];
    subscriber.messages$.subscribe(({ entityId }) => seen.push(entityId));
    subscriber.errors$.subscribe(({ code }) => seen.push(code));
    receive(entity('User', 1));
    receiver.receive('hello');
    expect(seen).toEqual(['1', 'CACHE_INVALIDATION_INVALID_MESSAGE']);
  });

  it('breaks fences, and drops entries of bound caches', () => {
    const { subscriber, receive } = makeSubscriber();
    const cache = new Map([
      ['user:1', 'Ada'],
      ['user:2', 'Bob'],
    ]);
    const end = subscriber.bind(cache);
    const fence = subscriber.fence();
    receive(entity('User', 1));
    expect(fence.holds('user:2')).toBe(true);
    end();
    receive(entity('User', 2));
    expect(fence.holds('user:2')).toBe(false);
    expect([...cache.keys()]).toEqual(['user:2']);
  });
});
