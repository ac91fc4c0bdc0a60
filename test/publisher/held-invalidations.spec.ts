import { describe, expect, it } from 'vitest';
import {
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import {
  HeldInvalidations,
  type DeferringPublisher,
} from '../../lib/publisher/held-invalidations.js';
import { Outbox } from '../../lib/publisher/outbox.js';
import { said } from '../support/app.js';

const instance = new Instance('test');

/** A publisher that counts how often a hold was made, and collapsed. */
class Publisher implements DeferringPublisher {
  holds = 0;
  collapses = 0;

  constructor(private readonly limit = 10) {}

  newHold(): Outbox {
    this.holds++;
    return new Outbox({ messages: this.limit, bytes: Infinity }, (one) =>
      instance.stamp(one),
    );
  }

  holdCollapsed(): void {
    this.collapses++;
  }

  publishHeld(): Promise<unknown> {
    throw new Error('A hold publishes nothing by itself.');
  }

  publishEverything(): Promise<unknown> {
    throw new Error('A hold publishes nothing by itself.');
  }
}

const users = (...ids: string[]): InvalidationMessage[] =>
  ids.map((id) => instance.stamp(entity('User', id)));

const allSaid = (
  held: Iterable<[DeferringPublisher, InvalidationMessage[]]>,
): [DeferringPublisher, string[]][] =>
  [...held].map(([publisher, messages]) => [publisher, messages.map(said)]);

describe('HeldInvalidations', () => {
  it('keeps the messages by publisher, in one hold for each, merged', () => {
    const held = new HeldInvalidations();
    const [one, two] = [new Publisher(), new Publisher()];
    held.add(one, users('1'));
    held.add(two, users('2'));
    held.add(one, users('3', '1'));

    expect(allSaid(held.takeAll())).toEqual([
      [one, ['User:1', 'User:3']],
      [two, ['User:2']],
    ]);
    expect([one.holds, two.holds]).toEqual([1, 1]);
    expect([one.collapses, two.collapses]).toEqual([0, 0]);
    expect(allSaid(held.takeAll())).toEqual([
      [one, []],
      [two, []],
    ]);
  });

  it('copies() leaves the messages held', () => {
    const held = new HeldInvalidations();
    const publisher = new Publisher();
    held.add(publisher, users('1', '2'));
    const copies = allSaid(held.copies());
    expect(copies).toEqual([[publisher, ['User:1', 'User:2']]]);
    expect(allSaid(held.takeAll())).toEqual(copies);
  });

  it('tells the publisher when its hold has collapsed', () => {
    const held = new HeldInvalidations();
    const publisher = new Publisher(2);
    held.add(publisher, users('1', '2'));
    expect(publisher.collapses).toBe(0);
    held.add(publisher, users('3'));
    expect(publisher.collapses).toBe(1);
    expect(allSaid(held.takeAll())).toEqual([[publisher, ['user:*']]]);
  });

  it('clear() drops all of them', () => {
    const held = new HeldInvalidations();
    held.add(new Publisher(), users('1'));
    held.clear();
    expect(held.takeAll()).toEqual([]);
  });
});
