import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import {
  ErrorReporter,
  InvalidationStream,
  OwnMessages,
} from '../../lib/stream/index.js';
import {
  decodeMessage,
  encodeMessage,
  entity,
  Instance,
  wallClock,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import {
  OutboxDrain,
  OutboxReports,
  PublishQueue,
  StoredRows,
  type PublishReceipt,
} from '../../lib/publisher/index.js';

import { said } from '../support/app.js';
import { ROOMY } from '../support/parts.js';
import { ScriptedTransport } from '../support/scripted.transport.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const PUBLISH_TIMEOUT = 200;

/** Stops the clock except where a test advances it; ticks and promises continue. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
}

/** Lets everything run that needs no time. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

class Desk {
  readonly transport = new ScriptedTransport();
  readonly #instance = new Instance('test-service');
  readonly meter = new InvalidationCounters(this.#instance);
  readonly errors: CacheInvalidationError[] = [];
  readonly delivered: InvalidationMessage[] = [];
  /** Status of each message, in the order of the receipts. */
  readonly told: string[] = [];
  /** Message ids reported to the durable outbox. */
  readonly sentIds: string[] = [];
  readonly replacedIds: string[] = [];
  readonly queue: PublishQueue;
  readonly own = new OwnMessages();

  constructor(outboxLimit = 10_000) {
    stopTime();
    const options = {
      ...ROOMY,
      publishTimeout: PUBLISH_TIMEOUT,
      outboxLimit,
      durableOutbox: { pending: async () => [], remove: async () => {} },
    };
    const reporter = new ErrorReporter();
    reporter.errors$.subscribe((error) => this.errors.push(error));
    const stream = new InvalidationStream(options, this.meter, reporter);
    stream.messages$.subscribe((message) => this.delivered.push(message));
    const rows = new StoredRows(options, reporter);
    vi.spyOn(rows, 'sent').mockImplementation((ids) => {
      this.sentIds.push(...ids);
    });
    vi.spyOn(rows, 'replaced').mockImplementation((id) => {
      this.replacedIds.push(id);
    });
    const drain = new OutboxDrain(
      options,
      this.#instance,
      rows,
      this.transport,
      stream,
      new OutboxReports(options, this.meter, reporter),
    );
    this.queue = new PublishQueue(
      options,
      this.transport,
      this.own,
      rows,
      drain,
      stream,
      this.meter,
    );
    onTestFinished(() => this.queue.close());
  }

  /** Publishes all in one tick, and resolves to their statuses. */
  publish(...ids: string[]): Promise<PublishReceipt['status'][]> {
    return Promise.all(ids.map((id) => this.#publishOne(id)));
  }

  /** Ids of the sent messages, call by call. */
  get sent(): string[][] {
    return this.transport.sent.map((payloads) =>
      payloads.map((payload) => {
        const message = decodeMessage(payload, Infinity);
        return message.entityId ?? said(message);
      }),
    );
  }

  /** Offsets from which the journal was to be searched, call by call. */
  get triedSince(): (string | null)[] {
    return this.transport.calls.map((call) => call.triedSince);
  }

  /** A message to be pushed by hand. */
  message(id: string): InvalidationMessage {
    return this.#instance.stamp(entity('User', id));
  }

  push(message: InvalidationMessage): Promise<PublishReceipt> {
    const payload = encodeMessage(message, Infinity);
    return new Promise((resolve) =>
      this.queue.push({ message, payload }, wallClock(), resolve),
    );
  }

  /** Advances the clock until the messages that wait for a retry have been sent. */
  async retry(): Promise<void> {
    const before = this.transport.calls.length;
    await vi.advanceTimersByTimeAsync(5_000);
    const calls = this.transport.calls.length - before;
    if (calls !== 1) throw new Error(`There were ${calls} calls.`);
  }

  async #publishOne(id: string): Promise<PublishReceipt['status']> {
    const message = this.message(id);
    const receipt = await this.push(message);
    const whose = receipt.messageId === message.messageId ? id : 'another';
    this.told.push(`${whose} ${receipt.status}`);
    return receipt.status;
  }
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => String(from + i));

describe('PublishQueue: while Redis answers', () => {
  it('hasTaken() is true once Redis has taken the messages before the mark, even if never idle', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    void desk.publish('2');
    // Message 2 has not been sent yet.
    const { mark } = desk.queue;
    await breathe();
    void desk.publish('3');
    await breathe();
    const [first, second] = desk.transport.calls;
    second!.succeed();
    await breathe();
    expect(desk.queue.hasTaken(mark)).toBe(false);
    first!.succeed();
    await breathe();
    expect(desk.queue.hasTaken(mark)).toBe(true);
    expect(desk.queue.pending).toBe(1);
  });

  it('hasTaken() is false while a failed message waits or is sent again', async () => {
    const desk = new Desk();
    void desk.publish('1');
    const { mark } = desk.queue;
    await breathe();
    void desk.publish('2');
    await breathe();
    desk.transport.calls[0]!.fail();
    desk.transport.calls[1]!.succeed();
    await breathe();
    expect(desk.queue.hasTaken(mark)).toBe(false);
    await desk.retry();
    expect(desk.queue.hasTaken(mark)).toBe(false);
    desk.transport.calls[2]!.succeed();
    await breathe();
    expect(desk.queue.hasTaken(mark)).toBe(true);
  });

  it('hasTaken() is true once all is taken, in fewer calls than the mark allowed for', async () => {
    const desk = new Desk();
    desk.transport.writable = false;
    void desk.publish(...numbers(0, 100));
    // Two calls, if Redis were there.
    const { mark } = desk.queue;
    await breathe();
    desk.transport.writable = true;
    desk.queue.resume();
    expect(desk.transport.calls).toHaveLength(1);
    expect(desk.queue.hasTaken(mark)).toBe(false);
    desk.transport.call(0).succeed();
    await breathe();
    expect(desk.queue.hasTaken(mark)).toBe(true);
  });

  it('hasTaken() is false while older messages wait, whatever was sent since', async () => {
    const desk = new Desk();
    desk.transport.writable = false;
    await desk.publish('1');
    const { mark } = desk.queue;
    expect(mark).toBe(0);
    expect(desk.queue.hasTaken(mark)).toBe(false);
  });

  it('measures the time from the publish to the answer, and never below zero', async () => {
    const desk = new Desk();
    const latencies: number[] = [];
    vi.spyOn(desk.meter, 'published').mockImplementation((latency) =>
      latencies.push(latency),
    );
    const payloadOf = (message: InvalidationMessage) =>
      encodeMessage(message, Infinity);
    for (const at of [wallClock() - 5_000, wallClock() + 60_000]) {
      const message = desk.message('1');
      const payload = payloadOf(message);
      desk.queue.push({ message, payload }, at, null);
    }
    await breathe();
    desk.transport.call(0).succeed();
    await breathe();
    expect(latencies[0]).toBeGreaterThanOrEqual(5_000);
    expect(latencies[0]).toBeLessThan(60_000);
    expect(latencies[1]).toBe(0);
  });

  it('sends the messages of one tick in one call', async () => {
    const desk = new Desk();
    const first = desk.publish('1', '2');
    const second = desk.publish('3');
    await breathe();
    expect(desk.sent).toEqual([['1', '2', '3']]);

    desk.transport.call(0).succeed(4);

    expect(await first).toEqual(['delivered', 'delivered']);
    expect(await second).toEqual(['delivered']);
    expect(desk.queue.pending).toBe(0);
  });

  it('sends the messages of a later tick without waiting for the reply', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    void desk.publish('2');
    await breathe();
    expect(desk.sent).toEqual([['1'], ['2']]);
  });

  it('sends in one call what several callers publish after the same reply', async () => {
    const desk = new Desk();
    const chains = ['a', 'b', 'c'].map(async (name) => {
      await desk.publish(`${name}1`);
      await desk.publish(`${name}2`);
    });
    await breathe();
    desk.transport.call(0).succeed();
    await breathe();
    desk.transport.call(1).succeed();
    await Promise.all(chains);

    expect(desk.sent).toEqual([
      ['a1', 'b1', 'c1'],
      ['a2', 'b2', 'c2'],
    ]);
  });

  it('sends many messages of one tick in calls of 64', async () => {
    const desk = new Desk();
    const publishing = desk.publish(...numbers(0, 150));
    await breathe();

    expect(desk.sent.map(({ length }) => length)).toEqual([64, 64, 22]);
    expect(desk.sent.flat()).toEqual(numbers(0, 150));

    for (const call of desk.transport.calls) call.succeed();
    expect(new Set(await publishing)).toEqual(new Set(['delivered']));
  });

  it.each([
    [64, [64]],
    [65, [64, 1]],
    [128, [64, 64]],
  ])('sends %i messages of one tick in calls of %j', async (count, calls) => {
    const desk = new Desk();
    void desk.publish(...numbers(0, count));
    await breathe();
    expect(desk.sent.map(({ length }) => length)).toEqual(calls);
  });

  it('resend() sends nothing, and says so, while Redis is away', async () => {
    const desk = new Desk();
    desk.transport.writable = false;
    expect(desk.queue.resend([desk.message('1')])).toBe(false);
    await breathe();
    expect(desk.sent).toEqual([]);
    expect(desk.queue.pending).toBe(0);
  });

  it('delivers a message to this instance once, when the caller gets the receipt', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1', '2');
    await breathe();
    expect(desk.delivered).toEqual([]);

    desk.transport.call(0).succeed();
    await publishing;

    expect(desk.delivered.map(said)).toEqual(['User:1', 'User:2']);
  });

  it('leaves no timer behind', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1');
    await breathe();
    desk.transport.call(0).succeed();
    await publishing;
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('PublishQueue: while Redis is known to be away', () => {
  it('returns queued receipts immediately, and sends nothing', async () => {
    const desk = new Desk();
    desk.transport.writable = false;

    expect(await desk.publish('1', '2')).toEqual(['queued', 'queued']);

    expect(desk.sent).toEqual([]);
    expect(desk.queue.pending).toBe(2);
    expect(desk.delivered.map(said)).toEqual(['User:1', 'User:2']);
    expect(desk.meter.totals).toMatchObject({ queued: 2, published: 0 });
  });

  it('sends the outbox in order, ahead of newer messages', async () => {
    const desk = new Desk();
    desk.transport.obliging = true;
    desk.transport.writable = false;
    const waiting = numbers(0, 2_500);
    await desk.publish(...waiting);

    desk.transport.writable = true;
    desk.queue.resume();
    await desk.publish('newer');
    await breathe();

    expect(desk.sent.flat()).toEqual([...waiting, 'newer']);
    expect(desk.queue.pending).toBe(0);
    expect(desk.meter.totals).toMatchObject({ published: 2_501 });
    expect(desk.delivered).toHaveLength(2_501);
  });

  it('keeps the order when a publish precedes resume()', async () => {
    const desk = new Desk();
    desk.transport.obliging = true;
    desk.transport.writable = false;
    await desk.publish('1');

    desk.transport.writable = true;
    await desk.publish('2');
    await breathe();

    expect(desk.sent.flat()).toEqual(['1', '2']);
  });

  it('collapses messages beyond outboxLimit, and reports it', async () => {
    const desk = new Desk(3);
    desk.transport.writable = false;
    await desk.publish('1', '2', '3', '4');

    expect(desk.queue.pending).toBe(1);
    expect(desk.errors).toMatchObject([{ code: 'CACHE_INVALIDATION_REDIS' }]);
    expect(desk.errors[0]!.message).toContain('outboxLimit');
    expect(desk.meter.totals).toMatchObject({ queued: 4, widened: 1 });

    desk.transport.writable = true;
    desk.queue.resume();
    expect(desk.sent).toEqual([['user:*']]);
  });
});

describe('PublishQueue: while Redis is connected and silent', () => {
  it('returns queued receipts after publishTimeout, and immediately for later messages', async () => {
    const desk = new Desk();
    const first = desk.publish('1', '2');
    await breathe();
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT - 1);
    expect(desk.told).toEqual([]);

    await vi.advanceTimersByTimeAsync(1);
    expect(await first).toEqual(['queued', 'queued']);
    // The clock stands still again.
    expect(await desk.publish('3')).toEqual(['queued']);
    expect(await desk.publish('4')).toEqual(['queued']);

    expect(desk.sent).toEqual([['1', '2']]);
    expect(desk.queue.pending).toBe(4);
    expect(desk.errors).toHaveLength(1);
    expect(desk.errors[0]).toBeInstanceOf(InvalidationTimeoutError);
    expect(desk.errors[0]).toMatchObject({ timeout: PUBLISH_TIMEOUT });
    expect(desk.delivered.map(said)).toEqual(
      ['1', '2', '3', '4'].map((id) => `User:${id}`),
    );
  });

  it('sends the outbox after a late reply, and nothing twice', async () => {
    const desk = new Desk();
    void desk.publish('1', '2');
    await breathe();
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT);
    await desk.publish('3');

    desk.transport.call(0).succeed();
    await breathe();
    desk.transport.call(1).succeed();
    await breathe();

    expect(desk.sent).toEqual([['1', '2'], ['3']]);
    expect(desk.queue.pending).toBe(0);
    expect(desk.delivered).toHaveLength(3);
    // The next message is sent at once, as usual.
    const next = desk.publish('4');
    await breathe();
    desk.transport.call(2).succeed();
    expect(await next).toEqual(['delivered']);
  });

  it('puts messages back ahead of newer ones after a late refusal', async () => {
    const desk = new Desk();
    void desk.publish('1', '2');
    await breathe();
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT);
    await desk.publish('3');

    desk.transport.call(0).fail();
    await breathe();
    await vi.advanceTimersByTimeAsync(5_000);

    expect(desk.sent).toEqual([
      ['1', '2'],
      ['1', '2', '3'],
    ]);
    expect(desk.told).toEqual(['1 queued', '2 queued', '3 queued']);
  });
});

describe('PublishQueue: when Redis refuses', () => {
  it('returns a queued receipt', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1');
    await breathe();
    desk.transport.call(0).fail('READONLY');

    expect(await publishing).toEqual(['queued']);
    expect(desk.errors[0]).toBeInstanceOf(InvalidationRedisError);
    expect(desk.errors[0]!.message).toContain('READONLY');
    expect(desk.meter.totals).toMatchObject({ publishErrors: 1 });
  });

  it('sends only the refused messages again', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1', '2', '3', '4');
    await breathe();
    desk.transport
      .call(0)
      .answer(1, new Error('refused'), 1, new Error('refused'));

    expect(await publishing).toEqual([
      'delivered',
      'queued',
      'delivered',
      'queued',
    ]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(desk.sent).toEqual([
      ['1', '2', '3', '4'],
      ['2', '4'],
    ]);
    expect(desk.delivered).toHaveLength(4);
  });

  it('treats missing replies as refused', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1', '2');
    await breathe();
    desk.transport.call(0).answer(1);
    expect(await publishing).toEqual(['delivered', 'queued']);
    expect(desk.errors[0]!.message).toContain('Redis gave no answer.');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(desk.sent.at(-1)).toEqual(['2']);
  });

  it.each([
    ['in their order', [0, 1, 2]],
    ['the last first', [2, 1, 0]],
    ['the middle first', [1, 0, 2]],
  ])(
    'puts messages of several calls back in order when they fail: %s',
    async (_, order) => {
      const desk = new Desk();
      for (const id of ['1', '2', '3']) {
        void desk.publish(id);
        await breathe();
      }
      expect(desk.sent).toEqual([['1'], ['2'], ['3']]);

      for (const index of order) {
        desk.transport.call(index).fail();
        await breathe();
      }
      await desk.publish('4');
      await vi.advanceTimersByTimeAsync(5_000);

      expect(desk.sent[3]).toEqual(['1', '2', '3', '4']);
    },
  );

  it('sends nothing newer while an older call is still unanswered', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    void desk.publish('2');
    await breathe();
    desk.transport.call(0).fail();
    await breathe();

    expect(await desk.publish('3')).toEqual(['queued']);
    desk.transport.call(1).succeed();
    await breathe();
    await vi.advanceTimersByTimeAsync(5_000);

    expect(desk.sent).toEqual([['1'], ['2'], ['1', '3']]);
  });

  it('retries at growing intervals, and immediately when Redis is back', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    for (const delay of [50, 75, 125, 225, 275, 275]) {
      desk.transport.call(-1).fail();
      await breathe();
      const before = desk.transport.calls.length;
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(desk.transport.calls).toHaveLength(before);
      await vi.advanceTimersByTimeAsync(1);
      expect(desk.transport.calls).toHaveLength(before + 1);
    }
    desk.transport.call(-1).fail();
    await breathe();
    const before = desk.transport.calls.length;
    desk.queue.resume();
    expect(desk.transport.calls).toHaveLength(before + 1);

    desk.transport.call(-1).succeed();
    await breathe();
    expect(desk.queue.pending).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('retries at intervals of seconds, and searches from the offset of the refusal, after a reconnect too', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    const desk = new Desk();
    const refuse = async (searchedUpTo: string | null): Promise<void> => {
      const refusal = Object.assign(new Error('OOM'), { searchedUpTo });
      desk.transport.call(-1).answer(refusal);
      await breathe();
    };
    void desk.publish('1');
    await breathe();
    await refuse('7-0');
    for (const delay of [50, 75, 125, 225, 425, 825, 1625, 2025, 2025]) {
      const before = desk.transport.calls.length;
      await vi.advanceTimersByTimeAsync(delay - 1);
      expect(desk.transport.calls).toHaveLength(before);
      await vi.advanceTimersByTimeAsync(1);
      expect(desk.triedSince.at(-1)).toBe('7-0');
      await refuse('7-0');
    }
    desk.queue.resume();
    expect(desk.triedSince.at(-1)).toBe('7-0');
    await refuse('8-0');
    const before = desk.transport.calls.length;
    await vi.advanceTimersByTimeAsync(2_024);
    expect(desk.transport.calls).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(1);
    expect(desk.triedSince.at(-1)).toBe('8-0');
    // An answer for only some of the messages reports no offset.
    await refuse(null);
    await vi.advanceTimersByTimeAsync(2_025);
    expect(desk.triedSince.at(-1)).toBe('8-0');
    desk.transport.call(-1).succeed();
    await breathe();
    expect(desk.queue.pending).toBe(0);
  });

  it('does not shorten the retry interval for newer messages', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    desk.transport.call(0).fail();
    await breathe();

    for (const id of ['2', '3', '4']) {
      void desk.publish(id);
      await breathe();
    }
    expect(desk.sent).toEqual([['1']]);
    expect(desk.told).toEqual(['1', '2', '3', '4'].map((id) => `${id} queued`));

    await vi.advanceTimersByTimeAsync(5_000);
    expect(desk.sent).toEqual([['1'], ['1', '2', '3', '4']]);
  });
});

describe('PublishQueue.whenIdle()', () => {
  it('resolves immediately when nothing is pending', async () => {
    await expect(new Desk().queue.whenIdle()).resolves.toBeUndefined();
  });

  it('resolves once Redis has taken all messages', async () => {
    const desk = new Desk();
    let idle = false;
    void desk.publish('1');
    void desk.queue.whenIdle().then(() => (idle = true));
    await breathe();
    desk.transport.call(0).fail();
    await breathe();
    expect(idle).toBe(false);

    await vi.advanceTimersByTimeAsync(5_000);
    expect(idle).toBe(false);
    desk.transport.call(1).succeed();
    await breathe();
    expect(idle).toBe(true);
  });

  it('does not retry after close()', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    desk.transport.call(0).fail();
    await breathe();
    desk.queue.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('starts no timer when calls in flight fail after close()', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    desk.queue.close();
    desk.transport.call(0).fail('The transport was closed.');
    await breathe();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('PublishQueue: searching the journal for an earlier try', () => {
  it('does not search for a message that was never tried', async () => {
    const desk = new Desk();
    desk.transport.obliging = true;
    await desk.publish('1');
    desk.transport.writable = false;
    await desk.publish('2');
    desk.transport.writable = true;
    desk.queue.resume();
    await breathe();

    expect(desk.sent).toEqual([['1'], ['2']]);
    expect(desk.triedSince).toEqual([null, null]);
  });

  it('searches from the beginning when no offset was known before the try', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    desk.transport.call(0).fail();
    await breathe();
    await desk.retry();

    expect(desk.triedSince).toEqual([null, '-']);
  });

  it('searches from the offset known at the time of the try', async () => {
    const desk = new Desk();
    const first = desk.push(desk.message('1'));
    await breathe();
    desk.transport.call(0).succeed();
    const { offset } = await first;

    void desk.publish('2');
    await breathe();
    const third = desk.push(desk.message('3'));
    await breathe();
    desk.transport.call(2).succeed();
    expect((await third).offset).not.toBe(offset);
    desk.transport.call(1).fail();
    await breathe();
    await desk.retry();

    expect(offset).not.toBeNull();
    expect(desk.triedSince).toEqual([null, null, null, offset]);
  });

  it('searches from the same offset, however often it fails', async () => {
    const desk = new Desk();
    const first = desk.push(desk.message('1'));
    await breathe();
    desk.transport.call(0).succeed();
    const { offset } = await first;
    void desk.publish('2');
    await breathe();
    for (let tries = 0; tries < 3; tries++) {
      desk.transport.call(-1).fail();
      await breathe();
      await desk.retry();
    }

    expect(desk.triedSince).toEqual([null, null, offset, offset, offset]);
  });

  it('searches from the earliest offset of all messages in a call', async () => {
    const desk = new Desk();
    const offsets: (string | null)[] = [];
    for (const id of ['1', '2']) {
      const known = desk.push(desk.message(id));
      await breathe();
      desk.transport.call(-1).succeed();
      offsets.push((await known).offset);
      // Two messages that fail, each after a different known offset.
      void desk.publish(`${id}x`);
      await breathe();
    }
    const [before] = offsets;
    desk.transport.call(1).fail();
    desk.transport.call(3).fail();
    await breathe();
    await desk.publish('never tried');
    await desk.retry();

    expect(new Set(offsets).size).toBe(2);
    expect(desk.sent.at(-1)).toEqual(['1x', '2x', 'never tried']);
    expect(desk.triedSince.at(-1)).toBe(before);
  });

  it('searches from the beginning when the offset of one message is unknown', async () => {
    const desk = new Desk();
    const known = desk.push(desk.message('1'));
    await breathe();
    desk.transport.call(0).succeed();
    await known;
    void desk.publish('2');
    await breathe();
    expect(desk.queue.resend([desk.message('left behind')])).toBe(true);
    desk.transport.call(1).fail();
    desk.transport.call(2).fail();
    await breathe();
    await desk.retry();

    expect(desk.sent.at(-1)).toEqual(['2', 'left behind']);
    expect(desk.triedSince.slice(2)).toEqual(['-', '-']);
  });

  it('searches from the beginning when a part of the first messages failed', async () => {
    const desk = new Desk();
    void desk.publish(...numbers(0, 100));
    await breathe();
    desk.transport.call(0).succeed();
    desk.transport.call(1).fail();
    await breathe();
    await desk.retry();

    expect(desk.sent.at(-1)).toEqual(numbers(64, 100));
    expect(desk.triedSince).toEqual([null, null, '-']);
  });

  it('counts a message found in the journal as sent', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1');
    await breathe();
    desk.transport.call(0).fail('The connection broke.');
    expect(await publishing).toEqual(['queued']);
    await desk.retry();

    desk.transport.call(1).answer({ receivers: null, offset: '7-0' });
    await breathe();

    expect(desk.queue.pending).toBe(0);
    expect(desk.queue.lastOffset).toBe('7-0');
    expect(desk.sentIds).toEqual([desk.delivered[0]!.messageId]);
    expect(desk.delivered).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('PublishQueue: while the outbox is being drained', () => {
  it('queues newer messages behind it, and returns their receipts immediately', async () => {
    const desk = new Desk();
    desk.transport.writable = false;
    await desk.publish('1', '2');
    desk.transport.writable = true;
    desk.queue.resume();
    expect(desk.sent).toEqual([['1', '2']]);

    expect(await desk.publish('3')).toEqual(['queued']);
    expect(await desk.publish('4')).toEqual(['queued']);
    expect(desk.sent).toEqual([['1', '2']]);

    desk.transport.call(0).succeed();
    await breathe();
    expect(desk.sent).toEqual([
      ['1', '2'],
      ['3', '4'],
    ]);
    desk.transport.call(1).succeed();
    await breathe();
    const next = desk.publish('5');
    await breathe();
    desk.transport.call(2).succeed();
    expect(await next).toEqual(['delivered']);
  });

  it('puts refused messages back ahead of newer ones', async () => {
    const desk = new Desk();
    desk.transport.writable = false;
    await desk.publish('1', '2');
    desk.transport.writable = true;
    desk.queue.resume();
    await desk.publish('3');
    desk.transport.call(0).answer(1, new Error('refused'));
    await breathe();
    await desk.retry();

    expect(desk.sent).toEqual([
      ['1', '2'],
      ['2', '3'],
    ]);
    expect(desk.triedSince).toEqual([null, '-']);
  });

  it('keeps a message equal to one that is being sent', async () => {
    const desk = new Desk();
    desk.transport.writable = false;
    await desk.publish('1');
    desk.transport.writable = true;
    desk.queue.resume();
    await desk.publish('1', '1');

    desk.transport.call(0).fail();
    await breathe();
    await desk.retry();

    // The message that was tried, and only one of the two that were not.
    expect(desk.sent).toEqual([['1'], ['1', '1']]);
    expect(desk.replacedIds).toHaveLength(1);
  });
});

describe('PublishQueue: while Redis is silent for long', () => {
  it('waits for publishTimeout only with messages sent before the silence was noticed', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT / 2);
    void desk.publish('2');
    await breathe();
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT / 2);
    expect(desk.told).toEqual(['1 queued']);
    // Each message has a timeout of its own.
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT / 2);
    expect(desk.told).toEqual(['1 queued', '2 queued']);

    for (const id of numbers(3, 20)) {
      expect(await desk.publish(id)).toEqual(['queued']);
    }
    // The transport gives up, and the next try hangs as well.
    desk.transport.call(0).fail();
    desk.transport.call(1).fail();
    await breathe();
    await desk.retry();
    await vi.advanceTimersByTimeAsync(60_000);
    for (const id of numbers(20, 40)) {
      expect(await desk.publish(id)).toEqual(['queued']);
    }
    expect(desk.sent).toEqual([['1'], ['2'], numbers(1, 20)]);
    expect(desk.delivered).toHaveLength(39);

    desk.transport.call(2).succeed();
    await breathe();
    expect(desk.sent.at(-1)).toEqual(numbers(20, 40));
    desk.transport.call(3).succeed();
    await breathe();
    expect(desk.queue.pending).toBe(0);
    const next = desk.publish('after');
    await breathe();
    desk.transport.call(4).succeed();
    expect(await next).toEqual(['delivered']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('counts unanswered and retried messages as waiting', async () => {
    const desk = new Desk();
    const sizes = () => [desk.queue.waiting, desk.queue.pending];
    void desk.publish('1');
    await breathe();
    expect(sizes()).toEqual([0, 1]);
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT);
    expect(sizes()).toEqual([1, 1]);

    desk.transport.call(0).fail();
    await breathe();
    expect(sizes()).toEqual([1, 1]);
    await desk.retry();
    expect(desk.sent).toEqual([['1'], ['1']]);
    expect(sizes()).toEqual([1, 1]);

    desk.transport.call(1).succeed();
    await breathe();
    expect(sizes()).toEqual([0, 0]);
  });

  it('returns queued receipts when the connection breaks as well', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1');
    await breathe();
    desk.transport.writable = false;
    expect(await desk.publish('2')).toEqual(['queued']);
    desk.transport.call(0).fail('The connection broke.');
    expect(await publishing).toEqual(['queued']);

    // Redis comes back while a retry is due, after another one found it away.
    await vi.advanceTimersByTimeAsync(5_000);
    expect(desk.transport.calls).toHaveLength(1);
    desk.transport.writable = true;
    desk.queue.resume();
    expect(desk.sent).toEqual([['1'], ['1', '2']]);
  });
});

describe('PublishQueue: an echo before the reply', () => {
  it('delivers the message once, and returns the receipt after the reply', async () => {
    const desk = new Desk();
    const message = desk.message('1');
    const publishing = desk.push(message);
    await breathe();
    expect(desk.delivered).toEqual([]);

    desk.own.received(message.messageId);
    expect(desk.delivered).toEqual([message]);
    desk.own.received(message.messageId);
    desk.transport.call(0).succeed(3);

    expect(await publishing).toEqual({
      status: 'delivered',
      messageId: message.messageId,
      receivers: 3,
      offset: '1-0',
    });
    desk.own.received(message.messageId);
    await breathe();
    expect(desk.delivered).toHaveLength(1);
  });

  it('delivers in the order of the channel, not of the replies', async () => {
    const desk = new Desk();
    const [first, second] = [desk.message('1'), desk.message('2')];
    void desk.push(first);
    void desk.push(second);
    await breathe();
    desk.own.received(first.messageId);
    desk.own.received(second.messageId);
    expect(desk.delivered).toEqual([first, second]);
    desk.transport.call(0).succeed();
    await breathe();
    expect(desk.delivered).toHaveLength(2);
  });

  it('returns a queued receipt after a later refusal, and does not deliver again', async () => {
    const desk = new Desk();
    const message = desk.message('1');
    const publishing = desk.push(message);
    await breathe();
    desk.own.received(message.messageId);
    desk.transport.call(0).fail('The connection broke.');

    expect(await publishing).toMatchObject({ status: 'queued', offset: null });
    expect(desk.delivered).toHaveLength(1);
  });

  it('ignores the echo of a queued message and of an unknown message', async () => {
    const desk = new Desk();
    desk.transport.writable = false;
    const message = desk.message('1');
    await desk.push(message);
    desk.own.received(message.messageId);
    desk.own.received('of nobody');
    expect(desk.delivered).toHaveLength(1);
  });
});

describe('PublishQueue: receipts', () => {
  it('have the offset and the receivers of their own message', async () => {
    const desk = new Desk();
    const publishing = ['1', '2', '3'].map((id) => desk.push(desk.message(id)));
    await breathe();
    desk.transport
      .call(0)
      .answer({ receivers: 4, offset: '8-1' }, new Error('refused'), {
        receivers: 6,
        offset: '8-3',
      });

    expect(await Promise.all(publishing)).toMatchObject([
      { status: 'delivered', receivers: 4, offset: '8-1' },
      { status: 'queued', receivers: null, offset: null },
      { status: 'delivered', receivers: 6, offset: '8-3' },
    ]);
    expect(desk.queue.lastOffset).toBe('8-3');
  });

  it('have no offset without a journal', async () => {
    const desk = new Desk();
    desk.transport.journaled = false;
    const publishing = desk.push(desk.message('1'));
    await breathe();
    desk.transport.call(0).succeed();

    expect(await publishing).toMatchObject({ receivers: 1, offset: null });
    expect(desk.queue.lastOffset).toBeNull();
  });
});

describe('PublishQueue: StoredRows', () => {
  it('receives the ids of sent and of replaced messages', async () => {
    const desk = new Desk(2);
    const published = desk.message('1');
    void desk.push(published);
    await breathe();
    desk.transport.call(0).succeed();
    await breathe();
    expect(desk.sentIds).toEqual([published.messageId]);

    desk.transport.writable = false;
    const [first, same, second, third] = ['1', '1', '2', '3'].map((id) =>
      desk.message(id),
    );
    await Promise.all([first, same, second].map((one) => desk.push(one!)));
    expect(desk.replacedIds).toEqual([same!.messageId]);
    await desk.push(third!);
    expect(desk.replacedIds).toEqual(
      [same, first, second, third].map((one) => one!.messageId),
    );
    expect(desk.sentIds).toHaveLength(1);
  });

  it('receives the id of a tried message only once Redis has taken it', async () => {
    const desk = new Desk();
    const message = desk.message('1');
    void desk.push(message);
    await breathe();
    desk.transport.call(0).fail();
    await breathe();
    expect(desk.sentIds).toEqual([]);
    await desk.retry();
    desk.transport.call(1).succeed();
    await breathe();
    expect(desk.sentIds).toEqual([message.messageId]);
  });
});
