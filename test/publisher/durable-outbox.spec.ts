import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  CallbackFailedError,
  InvalidationRedisError,
  InvalidationSerializationError,
  InvalidMessageError,
} from '../../lib/errors/index.js';
import {
  affects,
  batch,
  decodeMessage,
  encodeMessage,
  entity,
  everything,
  Instance,
  type Invalidation,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import {
  type DurableOutbox,
  type StoredInvalidation,
} from '../../lib/publisher/index.js';
import { connectRaw, said, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { makePublisher, type PublisherOptions } from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

/** A table of the application's, in memory. */
class Table implements DurableOutbox {
  /** Rows by message id, oldest first. */
  readonly rows = new Map<string, { text: string; age: number }>();
  readonly queries: { limit: number; olderThan: number }[] = [];
  readonly removals: (readonly string[])[] = [];
  /** Hooks of the next calls, run before the calls do anything. */
  readonly beforePending: (() => unknown)[] = [];
  readonly beforeRemove: (() => unknown)[] = [];

  /** @param age time since the row was stored, in milliseconds */
  add({ messageId, text }: StoredInvalidation, age = Infinity): void {
    this.rows.set(messageId, { text, age });
  }

  get ids(): string[] {
    return [...this.rows.keys()];
  }

  // Not async: an application's function may throw as well as reject.
  pending(query: { limit: number; olderThan: number }): Promise<string[]> {
    this.queries.push(query);
    return this.#after(this.beforePending.shift()?.(), () =>
      [...this.rows.values()]
        .filter(({ age }) => age > query.olderThan)
        .slice(0, query.limit)
        .map(({ text }) => text),
    );
  }

  remove(messageIds: readonly string[]): Promise<void> {
    this.removals.push(messageIds);
    return this.#after(this.beforeRemove.shift()?.(), () => {
      for (const id of messageIds) this.rows.delete(id);
    });
  }

  async #after<T>(first: unknown, then: () => T): Promise<T> {
    await first;
    return then();
  }
}

/** Rows that a killed process has left in the table. */
function leftBehind(
  table: Table,
  invalidation: Invalidation,
): StoredInvalidation {
  const message = new Instance('killed').stamp(invalidation);
  const stored = {
    messageId: message.messageId,
    text: encodeMessage(message, Infinity),
  };
  table.add(stored);
  return stored;
}

const fails = (message: string) => (): never => {
  throw new Error(message);
};
const rejects = (message: string) => () => Promise.reject(new Error(message));

/** Lets everything run that needs no time. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function makeStoring(options: Partial<PublisherOptions> = {}) {
  const table = new Table();
  const made = makePublisher({ durableOutbox: table, ...options });
  /** Stores an invalidation as a transaction does. */
  const store = (invalidation: Invalidation, age?: number) => {
    const stored = made.publisher.prepare(invalidation);
    table.add(stored, age);
    return stored;
  };
  return { ...made, table, store };
}

describe('publishStored() in a process without a durable outbox', () => {
  it('publishes the row, and remembers nothing of it', async () => {
    const { publisher, rows } = makePublisher();
    const stored = publisher.prepare(entity('User', 1));
    expect(await publisher.publishStored(stored)).toMatchObject({
      status: 'delivered',
    });
    // Another process owns the table: no publisher here would ever settle the row.
    expect(rows.underWay.size).toBe(0);
  });
});

describe('A durable outbox: prepared messages', () => {
  it('is a message of this instance, of which nobody is told yet', async () => {
    const { publisher, transport, delivered, instance } = makeStoring();

    const { messageId, text } = publisher.prepare(
      entity('User', 1, { metadata: { by: 'me' } }),
    );

    expect(decodeMessage(text, Infinity)).toMatchObject({
      messageId,
      entityType: 'User',
      entityId: '1',
      metadata: { by: 'me' },
      origin: instance.origin,
      offset: null,
    });
    await breathe();
    expect(transport.calls).toEqual([]);
    expect(delivered).toEqual([]);
    expect(publisher.pending).toBe(0);
  });

  it('has an id of its own each time', () => {
    const { publisher } = makeStoring();
    const one = entity('User', 1);
    expect(publisher.prepare(one).messageId).not.toBe(
      publisher.prepare(one).messageId,
    );
  });

  it('is refused where it is wrong, before the transaction commits', () => {
    const { publisher } = makeStoring();
    expect(() => publisher.prepare({} as never)).toThrow(InvalidMessageError);
    expect(() =>
      publisher.prepare(entity('User', 1, { metadata: 'x'.repeat(1_024) })),
    ).toThrow(InvalidationSerializationError);
  });

  it('is small enough for readers of the same limit, its place in the journal added', () => {
    const { publisher } = makeStoring();
    const prepare = (length: number): StoredInvalidation =>
      publisher.prepare(entity('User', 'x'.repeat(length)));
    let length = 1;
    expect(() => {
      for (;;) prepare(length++);
    }).toThrow(InvalidationSerializationError);

    const longest = prepare(length - 2);
    const place = '18446744073709551615-18446744073709551615';
    const message = decodeMessage(longest.text, 1_024);
    const read = { ...message, offset: place, previous: place };
    expect(() => encodeMessage(read, 1_024)).not.toThrow();
    expect(length).toBeGreaterThan(400);
  });
});

describe('A durable outbox: a row that the journal has already', () => {
  it('leaves the offset of the last own message where it is', async () => {
    const { publisher, transport, table, queue, relay } = makeStoring();
    leftBehind(table, entity('User', 'earlier'));
    await publisher.invalidateUser('1');
    await publisher.invalidateUser('2');
    const last = queue.lastOffset;
    expect(last).toBe('2-0');

    transport.obliging = false;
    void relay.sweep();
    await breathe();
    transport.call(-1).answer({ receivers: null, offset: '1-0' });
    await breathe();
    expect(queue.lastOffset).toBe(last);

    // A promoted server with an earlier clock continues from here.
    void publisher.invalidateUser('3');
    await breathe();
    transport.call(-1).answer({ receivers: 1, offset: '1-5' });
    await breathe();
    expect(queue.lastOffset).toBe('1-5');
  });
});

describe('A durable outbox: rows stored and then published', () => {
  it('is sent as it was prepared, and its row is removed', async () => {
    const { publisher, table, delivered, sent, store, instance } =
      makeStoring();
    const stored = store(entity('User', 1, { metadata: ['why'] }));

    const receipt = await publisher.publishStored(stored);

    expect(receipt).toEqual({
      status: 'delivered',
      messageId: stored.messageId,
      receivers: 1,
      offset: '1-0',
    });
    expect(sent()).toMatchObject([
      {
        messageId: stored.messageId,
        metadata: ['why'],
        origin: instance.origin,
      },
    ]);
    expect(delivered).toMatchObject([
      { messageId: stored.messageId, own: true, widened: null },
    ]);
    await eventually(() => expect(table.ids).toEqual([]));
    expect(table.removals).toEqual([[stored.messageId]]);
  });

  it('in one tick leaves in one call, and is removed in one', async () => {
    const { publisher, table, transport, store } = makeStoring();
    const stored = ['1', '2', '3'].map((id) => store(entity('User', id)));
    await Promise.all(stored.map((each) => publisher.publishStored(each)));
    await eventually(() => expect(table.ids).toEqual([]));
    expect(transport.calls).toHaveLength(1);
    expect(table.removals).toEqual([stored.map(({ messageId }) => messageId)]);
  });

  it('keeps its row while it waits, and loses it once it was sent', async () => {
    const { publisher, table, transport, store, resume } = makeStoring();
    transport.writable = false;
    const stored = store(entity('User', 1));
    expect(await publisher.publishStored(stored)).toMatchObject({
      status: 'queued',
      messageId: stored.messageId,
    });
    expect(table.ids).toEqual([stored.messageId]);
    expect(table.removals).toEqual([]);

    transport.writable = true;
    resume();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(transport.sent.flat()).toHaveLength(1);
  });

  it('keeps its row where Redis refused it, until it takes it', async () => {
    const { publisher, table, transport, store } = makeStoring();
    transport.obliging = false;
    const stored = store(entity('User', 1));
    const publishing = publisher.publishStored(stored);
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.call(0).fail();
    expect(await publishing).toMatchObject({ status: 'queued' });
    expect(table.removals).toEqual([]);

    await eventually(() => expect(transport.calls).toHaveLength(2));
    transport.call(1).succeed();
    await eventually(() => expect(table.ids).toEqual([]));
  });

  it('leaves the rows of others alone', async () => {
    const { publisher, table, store } = makeStoring();
    const mine = store(entity('User', 1));
    const others = store(entity('User', 2), 0);
    await publisher.publishStored(mine);
    await publisher.invalidateUser(3);
    await eventually(() => expect(table.ids).toEqual([others.messageId]));
    expect(table.removals).toEqual([[mine.messageId]]);
  });

  it.each(['', '{', 'null', '{"message_id":1}'])(
    'is refused where it is no message: %j',
    async (text) => {
      const { publisher, transport } = makeStoring();
      const stored = { messageId: crypto.randomUUID(), text };
      const publishing = publisher.publishStored(stored);
      await expect(publishing).rejects.toThrow(InvalidMessageError);
      expect(transport.calls).toEqual([]);
    },
  );

  it('is refused after the shutdown, and its row stays for the next process', async () => {
    const { publisher, table, store, shutdown } = makeStoring();
    const stored = store(entity('User', 1));
    await shutdown.run();
    const publishing = publisher.publishStored(stored);
    await expect(publishing).rejects.toThrow(InvalidationRedisError);
    expect(table.ids).toEqual([stored.messageId]);
  });

  it('is disabled where the module is switched off', async () => {
    const { publisher, transport, store } = makeStoring({ enabled: false });
    const stored = store(entity('User', 1));
    expect(await publisher.publishStored(stored)).toMatchObject({
      status: 'disabled',
    });
    expect(transport.calls).toEqual([]);
  });
});

describe('A durable outbox: rows that another message in the outbox covers', () => {
  it('is sent by the next sweep, and its row is removed', async () => {
    const { publisher, table, transport, sent, store, resume } = makeStoring();
    transport.writable = false;
    const stored = [1, 1, 1].map(() => store(entity('User', 1)));
    for (const each of stored) await publisher.publishStored(each);
    expect(publisher.pending).toBe(1);

    transport.writable = true;
    resume();
    await eventually(() => expect(table.ids).toEqual([]));

    expect(sent().map(({ messageId }) => messageId)).toEqual(
      stored.map(({ messageId }) => messageId),
    );
  });

  it('is sent exactly after a collapse, and no row is left to be sent for ever', async () => {
    const { publisher, table, transport, sent, store, resume } = makeStoring({
      outboxLimit: 2,
    });
    transport.writable = false;
    const keys = [1, 2, 3];
    for (const id of keys) {
      await publisher.publishStored(store(entity('User', id)));
    }
    transport.writable = true;
    resume();
    await eventually(() => expect(table.ids).toEqual([]));

    expect(sent().map(said)).toEqual([
      'user:*',
      ...keys.map((id) => `User:${id}`),
    ]);
    for (const id of keys) {
      expect(sent().some((message) => affects(message, `user:${id}`))).toBe(
        true,
      );
    }
    expect(publisher.pending).toBe(0);
  });

  it('does not keep the sweeps from what was left behind', async () => {
    const { publisher, table, transport, sent, store, resume, relay } =
      makeStoring();
    transport.writable = false;
    // A page of messages.
    for (let i = 0; i < 1_000; i++) {
      await publisher.publishStored(store(entity('User', 1)));
    }
    const left = leftBehind(table, entity('Post', 1));
    transport.writable = true;
    resume();
    await eventually(async () => {
      void relay.sweep();
      await breathe();
      expect(table.ids).toEqual([]);
    });
    expect(sent().map(({ messageId }) => messageId)).toContain(left.messageId);
  });
});

describe('A durable outbox: a sweep', () => {
  it('sends what was left behind, in its order, and tells this instance', async () => {
    const { table, delivered, sent, transport, instance, relay } =
      makeStoring();
    const left = [entity('User', 1), batch(['a:1', 'a:2']), everything()].map(
      (invalidation) => leftBehind(table, invalidation),
    );
    const ids = left.map(({ messageId }) => messageId);

    void relay.sweep();
    await eventually(() => expect(table.ids).toEqual([]));

    expect(sent().map(({ messageId }) => messageId)).toEqual(ids);
    expect(sent().every(({ origin }) => origin === instance.origin)).toBe(true);
    expect(delivered.map(({ messageId }) => messageId)).toEqual(ids);
    expect(delivered.map(said)).toEqual(['User:1', 'a:1,a:2', '*']);
    expect(delivered[0]).toMatchObject({ own: true, sourceService: 'killed' });
    // The first try may have succeeded: the journal is searched for the message.
    expect(transport.call(0).triedSince).toBe('-');
    expect(table.removals).toEqual([ids]);
  });

  it('leaves to its publisher what was stored a moment ago', async () => {
    const { table, transport, store, relay } = makeStoring();
    const fresh = store(entity('User', 1), 4_999);

    void relay.sweep();
    await breathe();

    expect(table.queries).toEqual([{ limit: 1_000, olderThan: 5_000 }]);
    expect(transport.calls).toEqual([]);
    expect(table.ids).toEqual([fresh.messageId]);
  });

  it('leaves alone what this instance is sending', async () => {
    const { publisher, table, transport, store, relay } = makeStoring();
    transport.obliging = false;
    void publisher.publishStored(store(entity('User', 1)));
    await eventually(() => expect(transport.calls).toHaveLength(1));

    void relay.sweep();
    await breathe();

    expect(table.queries).toHaveLength(1);
    expect(transport.calls).toHaveLength(1);
    transport.call(0).succeed();
    await eventually(() => expect(table.ids).toEqual([]));
  });

  it('leaves alone what is published while the table is read', async () => {
    const { publisher, table, transport, store, relay } = makeStoring();
    transport.obliging = false;
    const stored = store(entity('User', 1));
    table.beforePending.push(() => {
      void publisher.publishStored(stored);
    });
    void relay.sweep();
    await eventually(() => expect(transport.calls).toHaveLength(1));
    await breathe();
    expect(transport.calls).toHaveLength(1);
    expect(transport.call(0).triedSince).toBeNull();
  });

  it('does not send again what the last one is still sending', async () => {
    const { publisher, table, transport, relay } = makeStoring();
    transport.obliging = false;
    leftBehind(table, entity('User', 1));
    void relay.sweep();
    await eventually(() => expect(transport.calls).toHaveLength(1));
    void relay.sweep();
    await breathe();
    expect(table.queries).toHaveLength(2);
    expect(transport.sent.flat()).toHaveLength(1);
    expect(publisher.pending).toBe(1);
  });

  it('waits for the one before, however slow the database is', async () => {
    const { table, transport, relay } = makeStoring();
    leftBehind(table, entity('User', 1));
    let answer: () => void = () => {};
    table.beforePending.push(
      () => new Promise<void>((resolve) => (answer = resolve)),
    );
    for (let i = 0; i < 3; i++) void relay.sweep();
    await breathe();
    expect(table.queries).toHaveLength(1);

    answer();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(transport.sent.flat()).toHaveLength(1);
    void relay.sweep();
    await eventually(() => expect(table.queries).toHaveLength(2));
  });

  it('waits for none that is never answered', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { table, errors, relay } = makeStoring();
    leftBehind(table, entity('User', 1));
    table.beforePending.push(() => new Promise(() => undefined));
    void relay.sweep();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(errors.map(({ message }) => message).join()).toContain(
      'has not answered for 30000 ms',
    );
    void relay.sweep();
    vi.useRealTimers();
    await eventually(() => expect(table.ids).toEqual([]));
  });

  it('sends nothing again whose row cannot be removed, nor stops for it', async () => {
    const { table, sent, relay } = makeStoring();
    const refuse = rejects('The database is read-only.');
    table.beforeRemove.push(...Array.from({ length: 3 }, () => refuse));
    for (let id = 0; id < 1_000; id++) leftBehind(table, entity('User', id));
    const last = leftBehind(table, entity('User', 'last'));
    await eventually(() => {
      void relay.sweep();
      expect(table.ids).not.toContain(last.messageId);
    });
    expect(sent()).toHaveLength(1_001);
    await eventually(() => {
      void relay.sweep();
      expect(table.ids).toEqual([]);
    });
    expect(sent()).toHaveLength(1_001);
  });

  it('reads nothing while Redis is away, and begins when it is back', async () => {
    const { table, transport, relay, resume } = makeStoring();
    leftBehind(table, entity('User', 1));
    transport.writable = false;
    void relay.sweep();
    await breathe();
    expect(table.queries).toEqual([]);

    transport.writable = true;
    resume();
    await eventually(() => expect(table.ids).toEqual([]));
  });

  it('goes ahead of nothing that waits already', async () => {
    const { publisher, table, transport, sent, resume } = makeStoring();
    transport.writable = false;
    await publisher.invalidateUser('waits');
    leftBehind(table, entity('User', 'left'));
    transport.writable = true;
    resume();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(sent().map(({ entityId }) => entityId)).toEqual(['waits', 'left']);
  });

  it('keeps no caller from its answer', async () => {
    const { publisher, table, transport, relay } = makeStoring();
    transport.obliging = false;
    leftBehind(table, entity('User', 'left'));
    void relay.sweep();
    await eventually(() => expect(transport.calls).toHaveLength(1));
    const publishing = publisher.invalidateUser(1);
    await eventually(() => expect(transport.calls).toHaveLength(2));
    transport.call(1).succeed();
    expect(await publishing).toMatchObject({ status: 'delivered' });
    expect(transport.call(1).triedSince).toBeNull();
  });

  it('sends each as it is, however small the outbox', async () => {
    const { table, sent, errors, relay } = makeStoring({
      outboxLimit: 1,
    });
    leftBehind(table, batch(['user:1', 'user:2']));
    leftBehind(table, entity('Post', 1));
    void relay.sweep();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(sent().map(said)).toEqual(['user:1,user:2', 'Post:1']);
    expect(errors).toEqual([]);
  });

  it('finds Redis away by then, and leaves all of it to the next', async () => {
    const { publisher, table, transport, delivered, relay } = makeStoring();
    leftBehind(table, entity('User', 1));
    table.beforePending.push(() => (transport.writable = false));
    void relay.sweep();
    await breathe();
    expect(transport.calls).toEqual([]);
    expect(delivered).toEqual([]);
    expect(publisher.pending).toBe(0);

    transport.writable = true;
    void relay.sweep();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(delivered).toHaveLength(1);
  });

  it('that was refused into a full outbox, is done again', async () => {
    const { table, transport, sent, relay } = makeStoring({
      outboxLimit: 2,
    });
    transport.obliging = false;
    const left = [1, 2, 3].map((id) => leftBehind(table, entity('User', id)));
    void relay.sweep();
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.call(0).fail();
    transport.obliging = true;
    await eventually(() => expect(sent().map(said)).toContain('user:*'));
    expect(table.ids).toHaveLength(3);

    void relay.sweep();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(
      sent()
        .slice(-3)
        .map(({ messageId }) => messageId),
    ).toEqual(left.map(({ messageId }) => messageId));
  });

  it('takes a page at a time, until nothing is left', async () => {
    const { table, sent, relay } = makeStoring();
    for (let id = 0; id < 2_500; id++) leftBehind(table, entity('User', id));
    await eventually(async () => {
      void relay.sweep();
      await breathe();
      expect(table.ids).toEqual([]);
    });
    expect(sent().map(({ entityId }) => Number(entityId))).toEqual(
      Array.from({ length: 2_500 }, (_, id) => id),
    );
    expect(table.queries.every(({ limit }) => limit === 1_000)).toBe(true);
  });

  it('keeps the row where Redis refuses, until it takes it', async () => {
    const { table, transport, relay } = makeStoring();
    transport.obliging = false;
    const { messageId } = leftBehind(table, entity('User', 1));
    void relay.sweep();
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.call(0).fail();
    await breathe();
    expect(table.ids).toEqual([messageId]);
    await eventually(() => expect(transport.calls).toHaveLength(2));
    expect(transport.call(1).triedSince).toBe('-');
    transport.call(1).succeed();
    await eventually(() => expect(table.ids).toEqual([]));
  });

  it('removes what the journal turns out to have, and announces nothing', async () => {
    const { publisher, table, transport, relay } = makeStoring();
    transport.obliging = false;
    leftBehind(table, entity('User', 1));
    void relay.sweep();
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.call(0).answer({ receivers: null, offset: '5-0' });
    await eventually(() => expect(table.ids).toEqual([]));
    expect(publisher.pending).toBe(0);
  });
});

describe('A durable outbox: a database that fails', () => {
  it.each([
    ['throws', fails],
    ['rejects', rejects],
  ])(
    'while it is read, and %s, is reported, and read again',
    async (_, how) => {
      const { table, errors, relay } = makeStoring();
      leftBehind(table, entity('User', 1));
      table.beforePending.push(how('no such table'));
      void relay.sweep();
      await eventually(() => expect(errors).toHaveLength(1));
      expect(errors[0]).toBeInstanceOf(CallbackFailedError);
      expect(errors[0]!.message).toContain(
        'The durable outbox could not be read: no such table.',
      );

      void relay.sweep();
      await eventually(() => expect(table.ids).toEqual([]));
      expect(errors).toHaveLength(1);
    },
  );

  it.each([undefined, null, 7])(
    'and answers nonsense, is reported: %j',
    async (nonsense) => {
      const { table, errors, transport, relay } = makeStoring();
      table.pending = () => Promise.resolve(nonsense as never);
      void relay.sweep();
      await eventually(() => expect(errors).toHaveLength(1));
      expect(errors[0]).toBeInstanceOf(CallbackFailedError);
      expect(transport.calls).toEqual([]);
    },
  );

  it.each([
    ['throws', fails],
    ['rejects', rejects],
  ])(
    'while it is emptied, and %s, is reported, and emptied again',
    async (_, how) => {
      const { publisher, table, errors, store, relay } = makeStoring();
      table.beforeRemove.push(how('read-only'), how('read-only'));
      const stored = store(entity('User', 1));
      expect(await publisher.publishStored(stored)).toMatchObject({
        status: 'delivered',
      });
      await eventually(() => expect(errors).toHaveLength(1));
      expect(errors[0]).toBeInstanceOf(CallbackFailedError);
      expect(errors[0]!.message).toContain(
        'could not remove the rows that were sent: read-only.',
      );
      expect(table.ids).toEqual([stored.messageId]);

      void relay.sweep();
      await eventually(() => expect(errors).toHaveLength(2));
      void relay.sweep();
      await eventually(() => expect(table.ids).toEqual([]));
      expect(errors).toHaveLength(2);
    },
  );

  it('does not keep a publish from its answer, however long it takes', async () => {
    const { publisher, table, store } = makeStoring();
    table.beforeRemove.push(() => new Promise(() => undefined));
    const receipt = await publisher.publishStored(store(entity('User', 1)));
    expect(receipt.status).toBe('delivered');
    await publisher.invalidateUser(2);
    expect(publisher.pending).toBe(0);
  });

  it('answers after the shutdown, and nothing is sent any more', async () => {
    const { table, transport, errors, relay, shutdown } = makeStoring();
    const { messageId } = leftBehind(table, entity('User', 1));
    let answer: () => void = () => {};
    table.beforePending.push(
      () => new Promise<void>((resolve) => (answer = resolve)),
    );
    void relay.sweep();
    await shutdown.run();
    transport.writable = false;
    answer();
    await breathe();
    expect(table.ids).toEqual([messageId]);
    expect(transport.calls).toEqual([]);
    expect(errors).toEqual([]);
  });
});

describe('A durable outbox: a row that is no message', () => {
  it.each(['', 'null', '{"message_id":"3497a5ba-f0f9-449b-a722-47', 7, null])(
    'is reported, made up for, and stops no other: %j',
    async (text: unknown) => {
      const { table, sent, errors, relay } = makeStoring();
      const before = leftBehind(table, entity('User', 1));
      table.add({ messageId: 'unreadable', text: text as string });
      const after = leftBehind(table, entity('User', 2));

      void relay.sweep();
      await eventually(() => expect(table.ids).toEqual(['unreadable']));

      const messages = (): InvalidationMessage[] =>
        sent().toSorted((a, b) => said(a).localeCompare(said(b)));
      await eventually(() => expect(messages()).toHaveLength(3));
      expect(messages()).toMatchObject([
        { pattern: '*' },
        { messageId: before.messageId },
        { messageId: after.messageId },
      ]);
      // One error for all sweeps: the row needs the help of an operator.
      for (let sweeps = 2; sweeps <= 3; sweeps++) {
        void relay.sweep();
        await eventually(() => expect(table.queries).toHaveLength(sweeps));
        await breathe();
      }
      expect(messages()).toHaveLength(3);
      expect(errors).toHaveLength(1);
      expect(errors[0]).toBeInstanceOf(CallbackFailedError);
      expect(errors[0]!.message).toContain(
        'The durable outbox holds a text that is not a message',
      );
      expect(errors[0]!.advice).toContain('Everything was invalidated');
    },
  );

  it('though there are pages of it, stops no other', async () => {
    const { table, sent, relay } = makeStoring();
    for (let row = 0; row < 1_000; row++) {
      table.add({ messageId: `unreadable ${row}`, text: `no. ${row}` });
    }
    const { messageId } = leftBehind(table, entity('User', 1));
    await eventually(() => {
      void relay.sweep();
      expect(sent().map((message) => message.messageId)).toContain(messageId);
    });
    expect(sent().filter(({ pattern }) => pattern === '*')).toHaveLength(1);
  });

  it('but of a version to come, is sent as something coarser', async () => {
    const { table, sent, relay } = makeStoring();
    const { messageId, text } = leftBehind(table, entity('User', 1));
    table.add({ messageId, text: text.replace('"Delete"', '"Refresh"') });
    void relay.sweep();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(sent()).toMatchObject([{ messageId, pattern: 'user:*' }]);
  });

  it('but comes back from the database in another form, is sent', async () => {
    const { table, sent, errors, relay } = makeStoring();
    const { messageId, text } = leftBehind(table, entity('User', 1));
    // The text as PostgreSQL returns it from a jsonb column.
    const fields = Object.entries(JSON.parse(text) as object).toReversed();
    const formatted = JSON.stringify(Object.fromEntries(fields), null, 1);
    table.add({ messageId, text: formatted });
    void relay.sweep();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(sent()).toMatchObject([{ messageId, entityId: '1' }]);
    expect(errors).toEqual([]);
  });
});

describe('A durable outbox: on Redis', () => {
  const quick = { heartbeatInterval: 50, heartbeatTimeout: 2_000 };

  /** Ids of the messages that any service receives on a channel. */
  async function eavesdrop(channel: string): Promise<string[]> {
    const announced: string[] = [];
    const raw = connectRaw();
    raw.on('message', (_channel, payload) =>
      announced.push(decodeMessage(payload, Infinity).messageId),
    );
    await raw.subscribe(channel);
    return announced;
  }

  it('what a killed publisher left is sent once, though two instances find it at once', async () => {
    const channel = uniqueChannel();
    const announced = await eavesdrop(channel);
    const table = new Table();
    const options = { ...quick, channel, durableOutbox: table };
    const [one, two] = await Promise.all([
      startApp({ ...options, serviceName: 'one' }),
      startApp({ ...options, serviceName: 'two' }),
    ]);
    const far = await startApp({ channel, serviceName: 'far' });

    // Both read the same rows, and continue at the same moment.
    let readers = 0;
    let both: () => void = () => {};
    const gate = new Promise<void>((resolve) => (both = resolve));
    const meet = (): Promise<void> => {
      if (++readers === 2) both();
      return gate;
    };
    table.beforePending.push(meet, meet);
    const left = [1, 2, 3].map((id) => leftBehind(table, entity('User', id)));
    const ids = left.map(({ messageId }) => messageId);

    await eventually(() => expect(table.ids).toEqual([]));
    // The last message: all earlier ones have arrived with it.
    const last = await far.publisher.invalidateAll();
    await eventually(() => expect(announced.at(-1)).toBe(last.messageId));

    expect(readers).toBe(2);
    expect(announced).toEqual([...ids, last.messageId]);
    for (const { messages, errors } of [one, two, far]) {
      const heard = messages.map(({ messageId }) => messageId);
      expect(heard).toEqual(expect.arrayContaining(ids));
      expect(errors).toEqual([]);
    }
    expect(far.messages.map(said)).toEqual(['User:1', 'User:2', 'User:3', '*']);
  });

  it('what got through before its publisher was killed is not sent again', async () => {
    const channel = uniqueChannel();
    const announced = await eavesdrop(channel);
    const table = new Table();
    const doomed = await startApp({ channel, durableOutbox: table });
    table.beforeRemove.push(rejects('killed'));
    const stored = doomed.publisher.prepare(entity('User', 1));
    table.add(stored);
    const receipt = await doomed.publisher.publishStored(stored);
    expect(receipt).toMatchObject({ status: 'delivered' });
    await doomed.close();
    expect(table.ids).toEqual([stored.messageId]);

    const next = await startApp({ ...quick, channel, durableOutbox: table });
    await eventually(() => expect(table.ids).toEqual([]));
    const last = await next.publisher.invalidateAll();
    await eventually(() => expect(announced.at(-1)).toBe(last.messageId));

    expect(announced).toEqual([stored.messageId, last.messageId]);
    expect(next.publisher.pending).toBe(0);
  });

  it('what is stored and published by the living is sent once, and its row is removed', async () => {
    const channel = uniqueChannel();
    const announced = await eavesdrop(channel);
    const table = new Table();
    const app = await startApp({ ...quick, channel, durableOutbox: table });
    const stored = app.publisher.prepare(entity('User', 1));
    table.add(stored, 0);
    const receipt = await app.publisher.publishStored(stored);
    expect(receipt.offset).toMatch(/^\d+-\d+$/);
    await eventually(() => expect(table.ids).toEqual([]));
    expect(announced).toEqual([stored.messageId]);
    expect(app.messages.map(said)).toEqual(['User:1']);
  });
});
