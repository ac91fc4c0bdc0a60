import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { InvalidMessageError } from '../../lib/errors/index.js';
import {
  encodeMessage,
  entity,
  Instance,
  pattern,
  type Invalidation,
} from '../../lib/message/index.js';
import type { CascadeRules, DurableOutbox } from '../../lib/publisher/index.js';
import { said } from '../support/app.js';
import { makePublisher, type PublisherOptions } from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const RULES: CascadeRules = { User: (id) => [pattern(`feed:${id}:*`)] };

/** Lets everything run that needs no time. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A row that a killed process has left. */
function row(invalidation: Invalidation): { messageId: string; text: string } {
  const message = new Instance('killed').stamp(invalidation);
  return {
    messageId: message.messageId,
    text: encodeMessage(message, Infinity),
  };
}

/** A table whose answers the test gives, and a publisher with it. */
function make(options: Partial<PublisherOptions> = {}) {
  const table = {
    texts: [] as string[],
    /** Rejects the next removals. */
    broken: false,
    limits: [] as number[],
    removals: [] as (readonly string[])[],
  };
  const durableOutbox: DurableOutbox = {
    async pending({ limit }) {
      table.limits.push(limit);
      return table.texts;
    },
    async remove(ids) {
      table.removals.push(ids);
      if (table.broken) throw new Error('read-only');
    },
  };
  return { ...makePublisher({ durableOutbox, ...options }), table };
}

describe('OutboxRelay.sweep()', () => {
  it('does nothing where the application has no durable outbox', async () => {
    const { relay, transport, errors } = makePublisher();
    await relay.sweep();
    expect(transport.calls).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('sends nothing, and removes nothing, where the table is empty', async () => {
    const { relay, transport, table } = make();
    await relay.sweep();
    await breathe();
    expect(table.limits).toEqual([1_000]);
    expect(transport.calls).toEqual([]);
    expect(table.removals).toEqual([]);
  });

  it('reads one page at a time, and none while Redis is away', async () => {
    const { relay, transport, table } = make();
    transport.writable = false;
    await relay.sweep();
    expect(table.limits).toEqual([]);
    transport.writable = true;
    await Promise.all([relay.sweep(), relay.sweep()]);
    expect(table.limits).toHaveLength(1);
    await relay.sweep();
    expect(table.limits).toHaveLength(2);
  });

  it('gives up a table that does not answer for half a minute', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const { relay, errors } = make({
      durableOutbox: {
        pending: () => new Promise(() => undefined),
        remove: async () => {},
      },
    });
    const sweeping = relay.sweep();
    await vi.advanceTimersByTimeAsync(29_999);
    expect(errors).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await sweeping;
    expect(errors.map(({ message }) => message)).toEqual([
      'The durable outbox could not be read: It has not answered for 30000 ms. It is tried again with the next heartbeat; nothing is lost.',
    ]);
  });

  it('delivers a row, and what follows from it, before Redis has answered', async () => {
    const { relay, transport, delivered, table, instance } = make({
      cascade: RULES,
    });
    transport.obliging = false;
    const { text } = row(entity('User', 1));
    table.texts = [text];
    await relay.sweep();
    expect(delivered.map(said)).toEqual(['User:1', 'feed:1:*']);
    expect(delivered.map(({ origin }) => origin)).toEqual([
      instance.origin,
      instance.origin,
    ]);
    await breathe();
    expect(transport.calls.map(({ triedSince }) => triedSince)).toEqual([
      '-',
      null,
    ]);
  });

  it('reads one more row for each that could not be removed, and for each that is unreadable', async () => {
    const { relay, transport, table, sent } = make();
    const rows = [1, 2].map((id) => row(entity('User', id)));
    table.texts = [...rows.map(({ text }) => text), 'nonsense'];
    table.broken = true;
    await relay.sweep();
    await breathe();
    expect(sent().map(said).toSorted()).toEqual(['*', 'User:1', 'User:2']);
    const calls = transport.calls.length;
    const ids = rows.map(({ messageId }) => messageId);
    expect(table.removals).toEqual([ids]);

    // Only the removal is tried again.
    await relay.sweep();
    await breathe();
    expect(table.limits).toEqual([1_000, 1_003]);
    expect(table.removals).toEqual([ids, ids]);
    expect(transport.calls).toHaveLength(calls);

    table.broken = false;
    await relay.sweep();
    await breathe();
    await relay.sweep();
    expect(table.limits).toEqual([1_000, 1_003, 1_003, 1_001]);
  });

  it('skips a row that Redis took while the table was read', async () => {
    const { relay, publisher, transport, table } = make();
    transport.obliging = false;
    const stored = publisher.prepare(entity('User', 1));
    const publishing = publisher.publishStored(stored);
    await breathe();
    // The table answers with what it held before the row was removed.
    table.texts = [stored.text];
    const sweeping = relay.sweep();
    transport.call(0).succeed();
    await publishing;
    await sweeping;
    await breathe();
    expect(transport.calls).toHaveLength(1);
    expect(table.removals).toEqual([[stored.messageId]]);
  });

  it('sends everything for an unreadable row, which no scope holds back', async () => {
    const { relay, table, sent, pipeline } = make();
    table.texts = ['nonsense'];
    await relay.sweep();
    await breathe();
    expect(sent().map(said)).toEqual(['*']);
    // A rejection that nobody awaits would fail this test.
    pipeline.close();
    table.texts = ['other nonsense'];
    await relay.sweep();
    await breathe();
    expect(sent()).toHaveLength(1);
  });

  it('reports a table that cannot be read, with the cause', async () => {
    const { relay, errors } = make({
      durableOutbox: {
        pending: () => Promise.reject(new Error('no such table')),
        remove: async () => {},
      },
    });
    await relay.sweep();
    expect(errors.map(({ message }) => message)).toEqual([
      'The durable outbox could not be read: no such table. It is tried again with the next heartbeat; nothing is lost.',
    ]);
  });

  it('ends, and reports nothing, when the application shuts down while the table is read', async () => {
    const { relay, errors, transport } = make({
      durableOutbox: {
        pending: () => new Promise(() => undefined),
        remove: async () => {},
      },
    });
    const sweeping = relay.sweep();
    relay.close();
    await sweeping;
    expect(errors).toEqual([]);
    expect(transport.calls).toEqual([]);
  });
});

describe('OutboxRelay.publish()', () => {
  it('publishes a row as this instance, with what follows from it, in one call', async () => {
    const { publisher, transport, delivered, sent, instance, rows } = make({
      cascade: RULES,
    });
    transport.obliging = false;
    const stored = row(entity('User', 1));
    const publishing = publisher.publishStored(stored);
    await breathe();
    expect(transport.calls).toHaveLength(1);
    expect(rows.underWay.size).toBe(2);
    transport.call(0).succeed();
    expect(await publishing).toMatchObject({
      status: 'delivered',
      messageId: stored.messageId,
      offset: '2-0',
    });
    expect(sent().map(({ origin }) => origin)).toEqual([
      instance.origin,
      instance.origin,
    ]);
    expect(delivered.map(({ own }) => own)).toEqual([true, true]);
    expect(rows.underWay.size).toBe(0);
  });

  it('refuses a row that is larger than maxMessageBytes', async () => {
    const { publisher, transport, rows } = make({ maxMessageBytes: 600 });
    const stored = row(entity('User', 'x'.repeat(600)));
    await expect(publisher.publishStored(stored)).rejects.toThrow(
      InvalidMessageError,
    );
    expect(transport.calls).toEqual([]);
    expect(rows.underWay.size).toBe(0);
  });
});

describe('OutboxRelay: a failing table in the log', () => {
  it('is one source, however the table fails', async () => {
    const lines: unknown[] = [];
    const { relay, rows, errors } = make({
      durableOutbox: {
        pending: () => Promise.reject(new Error('no such table')),
        remove: () => Promise.reject(new Error('no such table')),
      },
    });
    Logger.overrideLogger({
      log: () => {},
      warn: () => {},
      error: (line: unknown) => lines.push(line),
    });
    try {
      await relay.sweep();
      await rows.remove(['a']);
    } finally {
      Logger.overrideLogger(false);
    }
    expect(errors).toHaveLength(2);
    expect(lines).toHaveLength(1);
  });
});
