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

describe('publishStored() without a durable outbox', () => {
  it('publishes the row, and does not record it as under way', async () => {
    const { publisher, rows } = makePublisher();
    const stored = publisher.prepare(entity('User', 1));
    expect(await publisher.publishStored(stored)).toMatchObject({
      status: 'delivered',
    });
    // Another process owns the table: no publisher here would ever settle the row.
    expect(rows.underWay.size).toBe(0);
  });
});

describe('Durable outbox: prepare()', () => {
  it('encodes a message of this instance without publishing or delivering it', async () => {
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

  it('gives each message its own id', () => {
    const { publisher } = makeStoring();
    const one = entity('User', 1);
    expect(publisher.prepare(one).messageId).not.toBe(
      publisher.prepare(one).messageId,
    );
  });

  it('throws for an invalid invalidation before the transaction commits', () => {
    const { publisher } = makeStoring();
    expect(() => publisher.prepare({} as never)).toThrow(InvalidMessageError);
    expect(() =>
      publisher.prepare(entity('User', 1, { metadata: 'x'.repeat(1_024) })),
    ).toThrow(InvalidationSerializationError);
  });

  it('rejects a message that would exceed maxMessageBytes once its offset is added', () => {
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

describe('Durable outbox: a row that is in the journal already', () => {
  it('does not move the last offset of this instance', async () => {
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

describe('Durable outbox: publishStored()', () => {
  it('publishes the prepared message unchanged, and removes its row', async () => {
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

  it('publishes the rows of one tick in one call, and removes them in one call', async () => {
    const { publisher, table, transport, store } = makeStoring();
    const stored = ['1', '2', '3'].map((id) => store(entity('User', id)));
    await Promise.all(stored.map((each) => publisher.publishStored(each)));
    await eventually(() => expect(table.ids).toEqual([]));
    expect(transport.calls).toHaveLength(1);
    expect(table.removals).toEqual([stored.map(({ messageId }) => messageId)]);
  });

  it('keeps the row while the message is queued, and removes it once it was sent', async () => {
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

  it('keeps the row while Redis refuses the message, and removes it once it was sent', async () => {
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

  it('does not remove rows of other messages', async () => {
    const { publisher, table, store } = makeStoring();
    const mine = store(entity('User', 1));
    const others = store(entity('User', 2), 0);
    await publisher.publishStored(mine);
    await publisher.invalidateUser(3);
    await eventually(() => expect(table.ids).toEqual([others.messageId]));
    expect(table.removals).toEqual([[mine.messageId]]);
  });

  it.each(['', '{', 'null', '{"message_id":1}'])(
    'rejects a text that is not a message: %j',
    async (text) => {
      const { publisher, transport } = makeStoring();
      const stored = { messageId: crypto.randomUUID(), text };
      const publishing = publisher.publishStored(stored);
      await expect(publishing).rejects.toThrow(InvalidMessageError);
      expect(transport.calls).toEqual([]);
    },
  );

  it('rejects after the shutdown, and keeps the row for the next process', async () => {
    const { publisher, table, store, shutdown } = makeStoring();
    const stored = store(entity('User', 1));
    await shutdown.run();
    const publishing = publisher.publishStored(stored);
    await expect(publishing).rejects.toThrow(InvalidationRedisError);
    expect(table.ids).toEqual([stored.messageId]);
  });

  it('returns a disabled receipt when the module is disabled', async () => {
    const { publisher, transport, store } = makeStoring({ enabled: false });
    const stored = store(entity('User', 1));
    expect(await publisher.publishStored(stored)).toMatchObject({
      status: 'disabled',
    });
    expect(transport.calls).toEqual([]);
  });
});

describe('Durable outbox: rows covered by another message of the outbox', () => {
  it('publishes the covered row in the next sweep, and removes it', async () => {
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

  it('publishes each row exactly after a collapse, and removes all of them', async () => {
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

  it('sweeps rows of a killed process behind a full page of covered rows', async () => {
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

describe('Durable outbox: sweep', () => {
  it('publishes rows of a killed process in their order, and delivers them to this instance', async () => {
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

  it('skips rows younger than five seconds', async () => {
    const { table, transport, store, relay } = makeStoring();
    const fresh = store(entity('User', 1), 4_999);

    void relay.sweep();
    await breathe();

    expect(table.queries).toEqual([{ limit: 1_000, olderThan: 5_000 }]);
    expect(transport.calls).toEqual([]);
    expect(table.ids).toEqual([fresh.messageId]);
  });

  it('skips rows that this instance is publishing', async () => {
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

  it('skips rows that are published while the table is read', async () => {
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

  it('does not publish again the rows that the previous sweep is still publishing', async () => {
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

  it('waits for the previous sweep while the database is slow', async () => {
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

  it('does not wait for a previous sweep whose query never settles', async () => {
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

  it('does not publish again the rows that cannot be removed, and sweeps the rows behind them', async () => {
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

  it('does not read the table while Redis is away, and sweeps once it is back', async () => {
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

  it('publishes rows after the messages already in the outbox', async () => {
    const { publisher, table, transport, sent, resume } = makeStoring();
    transport.writable = false;
    await publisher.invalidateUser('waits');
    leftBehind(table, entity('User', 'left'));
    transport.writable = true;
    resume();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(sent().map(({ entityId }) => entityId)).toEqual(['waits', 'left']);
  });

  it('does not delay the receipt of another publish', async () => {
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

  it('publishes each row exactly, even when the outbox is smaller than the page', async () => {
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

  it('keeps all rows for the next sweep when Redis goes away while the table is read', async () => {
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

  it('publishes rows again exactly after they were refused and collapsed in a full outbox', async () => {
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

  it('reads a page of 1000 rows at a time until none is left', async () => {
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

  it('keeps the row while Redis refuses the message, and removes it once Redis takes it', async () => {
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

  it('removes a row whose message is in the journal already', async () => {
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

describe('Durable outbox: a database that fails', () => {
  it.each([
    ['throws', fails],
    ['rejects', rejects],
  ])(
    'reports a pending() that %s, and reads again in the next sweep',
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
    'reports a pending() that resolves to %j',
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
    'reports a remove() that %s, and removes again in a later sweep',
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

  it('returns the receipt without waiting for remove()', async () => {
    const { publisher, table, store } = makeStoring();
    table.beforeRemove.push(() => new Promise(() => undefined));
    const receipt = await publisher.publishStored(store(entity('User', 1)));
    expect(receipt.status).toBe('delivered');
    await publisher.invalidateUser(2);
    expect(publisher.pending).toBe(0);
  });

  it('publishes nothing when pending() resolves after the shutdown', async () => {
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

describe('Durable outbox: a row that is not a message', () => {
  it.each(['', 'null', '{"message_id":"3497a5ba-f0f9-449b-a722-47', 7, null])(
    'reports the row once, publishes everything, and publishes the other rows: %j',
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

  it('publishes the rows behind a full page of unreadable rows', async () => {
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

  it('publishes a wider message for a row of a future version', async () => {
    const { table, sent, relay } = makeStoring();
    const { messageId, text } = leftBehind(table, entity('User', 1));
    table.add({ messageId, text: text.replace('"Delete"', '"Refresh"') });
    void relay.sweep();
    await eventually(() => expect(table.ids).toEqual([]));
    expect(sent()).toMatchObject([{ messageId, pattern: 'user:*' }]);
  });

  it('publishes a row whose JSON the database has reformatted', async () => {
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

describe('Durable outbox: on Redis', () => {
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

  it('publishes the rows of a killed publisher once when two instances sweep at the same time', async () => {
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

  it('does not publish again the row of a killed publisher that is in the journal', async () => {
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

  it('publishes a stored message once, and removes its row', async () => {
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
