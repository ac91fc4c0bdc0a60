import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import {
  decodeMessage,
  encodeMessage,
  entity,
  Instance,
  wallClock,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationStats } from '../../lib/observability/index.js';
import { PublishQueue } from '../../lib/publisher/publish.queue.js';
import type { PublishReceipt } from '../../lib/publisher/index.js';
import { InvalidationStream } from '../../lib/stream/index.js';
import { said } from '../support/app.js';
import { ScriptedTransport } from '../support/scripted.transport.js';

// Errors are asserted on, and need not be read.
Logger.overrideLogger(false);

const PUBLISH_TIMEOUT = 200;

/** Time stands still but where a test moves it; ticks and promises go on. */
function stopTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
}

/** Lets everything happen that needs no time. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

class Desk {
  readonly transport = new ScriptedTransport();
  readonly meter = new InvalidationStats();
  readonly errors: CacheInvalidationError[] = [];
  readonly delivered: InvalidationMessage[] = [];
  /** Each message's status, in the order in which the callers were told. */
  readonly told: string[] = [];
  readonly queue: PublishQueue;
  readonly #instance = new Instance('test-service');

  constructor(outboxLimit = 10_000) {
    stopTime();
    const reporter = new ErrorReporter();
    reporter.errors$.subscribe((error) => this.errors.push(error));
    const stream = new InvalidationStream(this.meter, reporter, 1_000);
    stream.messages$.subscribe((message) => this.delivered.push(message));
    this.queue = new PublishQueue(
      {
        publishTimeout: PUBLISH_TIMEOUT,
        outboxLimit,
        maxMessageBytes: 4_194_304,
      },
      {
        instance: this.#instance,
        transport: this.transport,
        stream,
        meter: this.meter,
        errors: reporter,
      },
    );
    onTestFinished(() => this.queue.close());
  }

  /** In one tick. Resolves to the statuses of these. */
  publish(...ids: string[]): Promise<PublishReceipt['status'][]> {
    return Promise.all(ids.map((id) => this.#publishOne(id)));
  }

  /** Ids of all that was sent, call by call. */
  get sent(): string[][] {
    return this.transport.sent.map((payloads) =>
      payloads.map((payload) => {
        const message = decodeMessage(payload, Infinity);
        return message.entityId ?? said(message);
      }),
    );
  }

  async #publishOne(id: string): Promise<PublishReceipt['status']> {
    const message = this.#instance.stamp(entity('User', id));
    const payload = encodeMessage(message, Infinity);
    const receipt = await new Promise<PublishReceipt>((resolve) =>
      this.queue.push({ message, payload }, wallClock(), resolve),
    );
    const whose = receipt.messageId === message.messageId ? id : 'another';
    this.told.push(`${whose} ${receipt.status}`);
    return receipt.status;
  }
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => String(from + i));

describe('while Redis answers', () => {
  it('what is published in one tick leaves in one call', async () => {
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

  it('a later tick does not wait for the answer', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    void desk.publish('2');
    await breathe();
    expect(desk.sent).toEqual([['1'], ['2']]);
  });

  it('what answers one reply publishes, leaves together', async () => {
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

  it('a flood leaves in steps', async () => {
    const desk = new Desk();
    const publishing = desk.publish(...numbers(0, 2_500));
    await breathe();

    expect(desk.sent.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
    expect(desk.sent.flat()).toEqual(numbers(0, 2_500));

    for (const call of desk.transport.calls) call.succeed();
    expect(new Set(await publishing)).toEqual(new Set(['delivered']));
  });

  it('this instance hears a message when the caller does, once', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1', '2');
    await breathe();
    expect(desk.delivered).toEqual([]);

    desk.transport.call(0).succeed();
    await publishing;

    expect(desk.delivered.map(said)).toEqual(['User:1', 'User:2']);
  });

  it('no timer is left behind', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1');
    await breathe();
    desk.transport.call(0).succeed();
    await publishing;
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('while Redis is known to be away', () => {
  it('callers are told at once that it is queued, and nothing is sent', async () => {
    const desk = new Desk();
    desk.transport.writable = false;

    expect(await desk.publish('1', '2')).toEqual(['queued', 'queued']);

    expect(desk.sent).toEqual([]);
    expect(desk.queue.pending).toBe(2);
    expect(desk.delivered.map(said)).toEqual(['User:1', 'User:2']);
    expect(desk.meter.snapshot()).toMatchObject({ queued: 2, published: 0 });
  });

  it('what waited is sent in order, ahead of anything newer', async () => {
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
    expect(desk.meter.snapshot()).toMatchObject({ published: 2_501 });
    expect(desk.delivered).toHaveLength(2_501);
  });

  it('what is published before the news of its return does not overtake', async () => {
    const desk = new Desk();
    desk.transport.obliging = true;
    desk.transport.writable = false;
    await desk.publish('1');

    desk.transport.writable = true;
    await desk.publish('2');
    await breathe();

    expect(desk.sent.flat()).toEqual(['1', '2']);
  });

  it('too many collapse to coarser ones, and it is said', async () => {
    const desk = new Desk(3);
    desk.transport.writable = false;
    await desk.publish('1', '2', '3', '4');

    expect(desk.queue.pending).toBe(1);
    expect(desk.errors).toMatchObject([{ code: 'CACHE_INVALIDATION_REDIS' }]);
    expect(desk.errors[0]!.message).toContain('outboxLimit');
    expect(desk.meter.snapshot()).toMatchObject({ queued: 4, widened: 1 });

    desk.transport.writable = true;
    desk.queue.resume();
    expect(desk.sent).toEqual([['user:*']]);
  });
});

describe('while Redis is connected and silent', () => {
  it('callers wait for publishTimeout, and later ones not at all', async () => {
    const desk = new Desk();
    const first = desk.publish('1', '2');
    await breathe();
    await vi.advanceTimersByTimeAsync(PUBLISH_TIMEOUT - 1);
    expect(desk.told).toEqual([]);

    await vi.advanceTimersByTimeAsync(1);
    expect(await first).toEqual(['queued', 'queued']);
    // Time stands still again.
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

  it('an answer sends what waits since, and nothing twice', async () => {
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
    // And the next one is sent at once, as ever.
    const next = desk.publish('4');
    await breathe();
    desk.transport.call(2).succeed();
    expect(await next).toEqual(['delivered']);
  });

  it('a late refusal puts it back ahead of what came since', async () => {
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

describe('when Redis refuses', () => {
  it('callers are told that it is queued', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1');
    await breathe();
    desk.transport.call(0).fail('READONLY');

    expect(await publishing).toEqual(['queued']);
    expect(desk.errors[0]).toBeInstanceOf(InvalidationRedisError);
    expect(desk.errors[0]!.message).toContain('READONLY');
    expect(desk.meter.snapshot()).toMatchObject({ publishErrors: 1 });
  });

  it('only what it refused is sent again', async () => {
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

  it('replies that are missing count as refused', async () => {
    const desk = new Desk();
    const publishing = desk.publish('1', '2');
    await breathe();
    desk.transport.call(0).answer(1);
    expect(await publishing).toEqual(['delivered', 'queued']);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(desk.sent.at(-1)).toEqual(['2']);
  });

  it.each([
    ['in their order', [0, 1, 2]],
    ['the last first', [2, 1, 0]],
    ['the middle first', [1, 0, 2]],
  ])(
    'several calls at once, %s, all is put back in order',
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

  it('nothing newer is sent while an older call is still to be judged', async () => {
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

  it('tries come at growing intervals, and at once when Redis is back', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    for (const delay of [50, 75, 125, 225, 425, 825, 1_025, 1_025]) {
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

  it('what is published in the meantime does not shorten the interval', async () => {
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

describe('whenIdle', () => {
  it('resolves at once where nothing is pending', async () => {
    await expect(new Desk().queue.whenIdle()).resolves.toBeUndefined();
  });

  it('resolves once Redis has everything', async () => {
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

  it('a closed queue retries nothing', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    desk.transport.call(0).fail();
    await breathe();
    desk.queue.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a queue that is closed with calls in flight starts no timer when they fail', async () => {
    const desk = new Desk();
    void desk.publish('1');
    await breathe();
    desk.queue.close();
    desk.transport.call(0).fail('The transport was closed.');
    await breathe();
    expect(vi.getTimerCount()).toBe(0);
  });
});
