import { describe, expect, it } from 'vitest';
import {
  batch,
  entity,
  pattern,
  sizeOf,
  type Invalidation,
} from '../../lib/message/index.js';
import { EarlyMessages } from '../../lib/stream/early-messages.js';
import { Fences } from '../../lib/stream/index.js';

/** A publisher that always has messages under way. */
class BusyPublisher {
  mark = 0;
  lastOffset: string | null = null;
  /** The first message that Redis has not taken. */
  #taken = 0;

  publish(): void {
    this.mark++;
  }

  /** Acknowledges the oldest message. */
  answer(): void {
    this.lastOffset = `${++this.#taken}-0`;
  }

  hasTaken(mark: number): boolean {
    return this.#taken >= mark;
  }
}

describe('EarlyMessages', () => {
  it('settle in generations while messages are always in flight', () => {
    const publisher = new BusyPublisher();
    const early = new EarlyMessages();
    const settled: string[] = [];
    let most = 0;
    for (let id = 0; id < 30_000; id++) {
      early.add(entity('User', id));
      publisher.publish();
      // Two messages are under way at any time.
      if (id >= 2) publisher.answer();
      const { lastOffset } = publisher;
      if (lastOffset === null) continue;
      for (const message of early.take(publisher, lastOffset)) {
        settled.push(message.entityId!);
      }
      most = Math.max(most, id + 1 - settled.length);
    }
    expect(settled.slice(0, 3)).toEqual(['0', '1', '2']);
    expect(settled.length).toBeGreaterThan(29_990);
    expect(most).toBeLessThan(10);
    expect(early.affects('user:29999')).toBe(true);
    expect(early.affects('user:1')).toBe(false);
  });

  it('settle once Redis has taken them and their offset is reached', () => {
    const publisher = new BusyPublisher();
    const early = new EarlyMessages();
    early.add(entity('User', 1));
    publisher.publish();
    expect(early.take(publisher, '9-0')).toEqual([]);
    publisher.answer();
    expect(early.take(publisher, '0-5')).toEqual([]);
    expect(early.affects('user:1')).toBe(true);
    expect(early.take(publisher, '1-0')).toHaveLength(1);
    expect(early.any).toBe(false);
  });

  it('become "everything" when there are too many, and still settle', () => {
    const publisher = new BusyPublisher();
    const early = new EarlyMessages();
    for (let id = 0; id < 200; id++) early.add(pattern(`feed:${id}:*`));
    publisher.publish();
    expect(early.affects('user:1')).toBe(true);
    publisher.answer();
    expect(early.take(publisher, '1-0')).toMatchObject([{ pattern: '*' }]);
    expect(early.affects('user:1')).toBe(false);
  });

  it('count as "everything" if published before positions were tracked', () => {
    const publisher = new BusyPublisher();
    const fences = new Fences();
    publisher.publish();
    fences.record(entity('User', 1));
    fences.trackPositions(true);
    fences.reached('0-5', false);
    expect(fences.takenAt('0-5')!.holds('user:1')).toBe(false);
    publisher.answer();
    fences.settleEarly(publisher, '1-0');
    fences.reached('1-0', true);
    expect(fences.takenAt('0-5')!.holds('user:1')).toBe(false);
    expect(fences.takenAt('1-0')!.holds('user:1')).toBe(true);
  });

  it('keep no metadata', () => {
    const publisher = new BusyPublisher();
    const early = new EarlyMessages();
    early.add(entity('User', 1, { metadata: { text: 'x'.repeat(100_000) } }));
    publisher.publish();
    publisher.answer();
    const [settled] = early.take(publisher, '9-0');
    expect(settled).toMatchObject({ entityId: '1', metadata: null });
  });

  it('become "everything" when their ids use too much memory', () => {
    const early = new EarlyMessages();
    for (let id = 0; id < 20; id++) {
      early.add(entity('User', `${id}:`.padEnd(1_048_576, 'x')));
    }
    expect(early.affects('post:1')).toBe(true);
  });

  it('settle at the offset of the last of them, whatever is published meanwhile', () => {
    const publisher = new BusyPublisher();
    const early = new EarlyMessages();
    early.add(entity('User', 1));
    publisher.publish();
    publisher.answer();
    expect(early.take(publisher, '0-5')).toEqual([]);
    publisher.publish();
    publisher.answer();
    expect(early.take(publisher, '1-0')).toHaveLength(1);
  });

  it('affect the family of their keys', () => {
    const early = new EarlyMessages();
    expect(early.affects('')).toBe(false);
    early.add(entity('User', 1));
    expect(early.affects('')).toBe(true);
    expect(early.affects('user:')).toBe(true);
    expect(early.affects('post:')).toBe(false);
    early.add(batch(['post:1', 'session:1']));
    expect(early.affects('post:')).toBe(true);
    expect(early.affects('session:')).toBe(true);
    expect(early.affects('feed:')).toBe(false);
  });

  it('of a pattern affect the keys that it matches', () => {
    const early = new EarlyMessages();
    early.add(pattern('feed:1:*'));
    early.add(entity('User', 1));
    expect(early.affects('feed:1:2')).toBe(true);
    expect(early.affects('feed:2:1')).toBe(false);
    expect(early.affects('user:1')).toBe(true);
    expect(early.affects('user:2')).toBe(false);
  });
});

describe('EarlyMessages: "everything" beyond', () => {
  /** Early messages after these were added; are they everything? */
  function areEverything(...messages: Invalidation[]): boolean {
    const early = new EarlyMessages();
    for (const message of messages) early.add(message);
    return early.affects('other:1');
  }
  const times = <T>(count: number, make: (at: number) => T): T[] =>
    Array.from({ length: count }, (_, at) => make(at));
  const keys = (count: number, type: string): string[] =>
    times(count, (at) => `${type}:${at}`);

  it('ten thousand messages', () => {
    const messages = times(10_000, () => entity('User', 1));
    expect(areEverything(...messages)).toBe(false);
    expect(areEverything(...messages, entity('User', 1))).toBe(true);
  });

  it('ten thousand keys', () => {
    expect(areEverything(batch(keys(10_000, 'user')))).toBe(false);
    expect(areEverything(batch(keys(10_001, 'user')))).toBe(true);
    const halves = [batch(keys(6_000, 'user')), batch(keys(6_000, 'post'))];
    expect(areEverything(...halves)).toBe(true);
    expect(areEverything(batch(keys(10_000, 'user')), pattern('feed:*'))).toBe(
      false,
    );
  });

  it('a hundred patterns, whatever keys come with them', () => {
    const patterns = times(100, (at) => pattern(`feed:${at}:*`));
    expect(areEverything(...patterns, entity('User', 1))).toBe(false);
    expect(areEverything(...patterns, pattern('feed:x:*'))).toBe(true);
  });

  it('sixteen megabytes', () => {
    const room = 16_777_216 - sizeOf(entity('User', 'x')) + 1;
    expect(areEverything(entity('User', 'x'.repeat(room)))).toBe(false);
    expect(areEverything(entity('User', 'x'.repeat(room + 1)))).toBe(true);
  });
});
