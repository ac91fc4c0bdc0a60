import { describe, expect, it } from 'vitest';
import { entity, pattern } from '../../lib/message/index.js';
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
});
