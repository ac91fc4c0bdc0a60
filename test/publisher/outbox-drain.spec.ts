import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import { encodeMessage, entity, Instance } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import {
  OutboxDrain,
  OutboxReports,
  StoredRows,
  type DrainingQueue,
} from '../../lib/publisher/index.js';
import type { Unsent } from '../../lib/publisher/outbox.js';
import { Publication } from '../../lib/publisher/publication.js';
import { ErrorReporter, InvalidationStream } from '../../lib/stream/index.js';
import { said } from '../support/app.js';
import { ROOMY } from '../support/parts.js';
import { ScriptedTransport } from '../support/scripted.transport.js';
import { CapturingLogger } from '../testing/fakes/capturing.logger.js';

const instance = new Instance('test');
const REFUSED = { cause: new Error('OOM'), refused: true };
const BROKEN = { cause: new Error('The connection broke.'), refused: false };

/** A queue whose calls the test answers. */
class Queue implements DrainingQueue {
  inFlight = 0;
  readonly calls: { ids: string[]; since: string | null; tried: number }[] = [];

  send(publications: Publication[], since: string | null, tried: number): void {
    const ids = publications.map(
      ({ message }) => message.entityId ?? said(message),
    );
    this.inFlight += publications.length;
    this.calls.push({ ids, since, tried });
  }
}

function make({
  outboxLimit = 10_000,
  queueByteLimit = Infinity,
  stored = false,
} = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  // Delays have no jitter: the first is 75 ms, then 125, 225, 425.
  const random = vi.spyOn(Math, 'random').mockReturnValue(1);
  const logs = new CapturingLogger();
  Logger.overrideLogger(logs);
  onTestFinished(() => {
    vi.useRealTimers();
    random.mockRestore();
    Logger.overrideLogger(false);
  });
  const meter = new InvalidationCounters(instance);
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  const options = {
    ...ROOMY,
    outboxLimit,
    queueByteLimit,
    durableOutbox: stored
      ? { pending: async () => [], remove: async () => {} }
      : undefined,
  };
  const stream = new InvalidationStream(options, meter, reporter);
  const rows = new StoredRows(options, reporter);
  const transport = new ScriptedTransport();
  const queue = new Queue();
  const drain = new OutboxDrain(
    options,
    instance,
    rows,
    transport,
    stream,
    new OutboxReports(options, meter, reporter),
  );
  drain.drainInto(queue);
  onTestFinished(() => drain.close());
  const publication = (id: string): Publication => {
    const message = instance.stamp(entity('User', id));
    const payload = encodeMessage(message, Infinity);
    return new Publication(stream, { message, payload }, 0, null);
  };
  const keep = (...ids: string[]): void => drain.keep(ids.map(publication));
  const unsent = (triedSince: string | null, ...ids: string[]): Unsent[] =>
    ids.map((id) => ({ message: publication(id).message, triedSince }));
  /** All calls in flight have ended, and these messages have failed. */
  const settle = (
    failure: typeof REFUSED | null = null,
    ...failed: Unsent[]
  ): void => {
    queue.inFlight = 0;
    if (failure !== null) drain.fail(0, failed, failure);
    drain.settle();
  };
  return {
    drain,
    queue,
    transport,
    rows,
    errors,
    meter,
    logs,
    keep,
    unsent,
    settle,
    publication,
  };
}

const sent = (queue: Queue): string[][] => queue.calls.map(({ ids }) => ids);

const numbers = (count: number): string[] =>
  Array.from({ length: count }, (_, id) => `${id}`);

describe('OutboxDrain: state', () => {
  it('lets messages pass while Redis is connected, and nothing waits or hangs', () => {
    const { drain, transport } = make();
    const state = () => [drain.canSend, drain.canPass, drain.late];
    expect(state()).toEqual([true, true, false]);
    expect([drain.size, drain.draining]).toEqual([0, false]);
    transport.writable = false;
    expect(state()).toEqual([false, false, false]);
  });

  it('lets nothing pass while a message waits', () => {
    const { drain, transport, keep } = make();
    transport.writable = false;
    keep('1');
    transport.writable = true;
    expect([drain.canSend, drain.canPass]).toEqual([true, false]);
    expect(drain.size).toBe(1);
  });

  it('lets nothing pass, and sends nothing, while Redis hangs', () => {
    const { drain, queue, keep, settle, errors } = make();
    queue.inFlight = 1;
    drain.hang();
    expect([drain.canSend, drain.canPass, drain.late]).toEqual([
      false,
      false,
      true,
    ]);
    keep('1');
    expect(queue.calls).toEqual([]);
    expect(errors).toMatchObject([{ code: 'CACHE_INVALIDATION_TIMEOUT' }]);
    settle();
    expect(sent(queue)).toEqual([['1']]);
    expect([drain.canSend, drain.canPass, drain.late]).toEqual([
      true,
      false,
      true,
    ]);
    settle();
    expect([drain.canSend, drain.canPass, drain.late]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('lets nothing pass while a failed call is not put back', () => {
    const { drain, queue, unsent } = make();
    queue.inFlight = 2;
    drain.fail(0, unsent('-', '1'), BROKEN);
    expect([drain.canSend, drain.canPass]).toEqual([false, false]);
    expect(drain.size).toBe(1);
  });

  it('lets nothing pass while what has waited is under way', () => {
    const { drain, keep } = make();
    keep('1');
    expect([drain.draining, drain.late]).toEqual([true, true]);
    expect(drain.size).toBe(0);
    expect([drain.canSend, drain.canPass]).toEqual([true, false]);
  });
});

describe('OutboxDrain: sending', () => {
  it('sends what waits when Redis is back, a thousand at a time', () => {
    const { drain, queue, transport, keep, settle } = make();
    transport.writable = false;
    keep(...numbers(2_500));
    expect(queue.calls).toEqual([]);
    transport.writable = true;
    drain.resume();
    expect(queue.calls.map(({ ids }) => ids.length)).toEqual([1_000]);
    // A call is under way: another one waits for it.
    drain.resume();
    expect(queue.calls).toHaveLength(1);
    settle();
    settle();
    settle();
    expect(queue.calls.map(({ ids }) => ids.length)).toEqual([
      1_000, 1_000, 500,
    ]);
    expect(sent(queue).flat()).toEqual(numbers(2_500));
  });

  it('sends messages that were never tried without a search', () => {
    const { queue, keep } = make();
    keep('1', '2');
    expect(queue.calls).toEqual([{ ids: ['1', '2'], since: null, tried: 0 }]);
  });

  it('names the earlier tries, ahead of those that were never tried', () => {
    const { drain, queue, keep, settle, unsent } = make();
    queue.inFlight = 4;
    drain.fail(1, unsent('7-0', '3'), BROKEN);
    keep('new');
    settle(BROKEN, ...unsent('5-0', '1'), ...unsent(null, '2'));
    expect(queue.calls).toEqual([]);
    vi.advanceTimersByTime(75);
    expect(queue.calls).toEqual([
      { ids: ['1', '2', '3', 'new'], since: '5-0', tried: 3 },
    ]);
  });

  it('logs, once all is sent, how many had waited', () => {
    const { drain, logs, transport, keep, settle } = make();
    settle();
    expect(logs.of('log')).toEqual([]);
    transport.writable = false;
    keep(...numbers(1_001));
    transport.writable = true;
    drain.resume();
    settle();
    expect(logs.of('log')).toEqual([]);
    settle();
    expect(logs.of('log')).toEqual([
      'Redis has accepted what waited in the outbox: 1001 invalidations.',
    ]);
  });

  it('counts anew after all was sent', () => {
    const { logs, keep, settle } = make();
    const now = vi.spyOn(Date, 'now').mockReturnValue(1_000);
    onTestFinished(() => now.mockRestore());
    keep('1', '2');
    settle();
    now.mockReturnValue(100_000);
    keep('3');
    settle();
    expect(logs.of('log')).toEqual([
      'Redis has accepted what waited in the outbox: 2 invalidations.',
      'Redis has accepted what waited in the outbox: 1 invalidation.',
    ]);
  });
});

describe('OutboxDrain: limits', () => {
  it('reports when new messages collapse, and when failed ones do', () => {
    const { transport, meter, queue, keep, settle, unsent } = make({
      outboxLimit: 2,
    });
    transport.writable = false;
    keep('1', '2');
    expect(meter.widenedBy.get('outbox-overflow')).toBeUndefined();
    keep('3');
    expect(meter.widenedBy.get('outbox-overflow')).toBe(1);
    settle(BROKEN, ...unsent('-', '4'));
    expect(meter.widenedBy.get('outbox-overflow')).toBe(1);
    settle(BROKEN, ...unsent('-', '5', '6'));
    expect(meter.widenedBy.get('outbox-overflow')).toBe(2);
    transport.writable = true;
    vi.advanceTimersByTime(75);
    expect(sent(queue)).toEqual([['user:*']]);
  });

  it('collapses beyond queueByteLimit', () => {
    const { transport, meter, keep } = make({ queueByteLimit: 1_000 });
    transport.writable = false;
    keep('1');
    expect(meter.totals.widened).toBe(0);
    keep('2');
    expect(meter.totals.widened).toBe(1);
  });

  it('tells the durable outbox which messages another one replaced', () => {
    const { transport, rows, drain, publication } = make({ stored: true });
    transport.writable = false;
    const both = ['1', '1'].map(publication);
    const [first, second] = both.map(({ message }) => message.messageId);
    rows.expect(first!);
    rows.expect(second!);
    drain.keep(both);
    expect([...rows.underWay.keys()]).toEqual([first]);
  });
});

describe('OutboxDrain: after a failure', () => {
  it('reports it, and tries again after a delay that grows', () => {
    const { queue, errors, settle, unsent } = make();
    settle(BROKEN, ...unsent('-', '1'));
    expect(errors[0]?.message).toContain('The connection broke.');
    for (const delay of [75, 125, 225, 425]) {
      const before = queue.calls.length;
      vi.advanceTimersByTime(delay - 1);
      expect(queue.calls).toHaveLength(before);
      vi.advanceTimersByTime(1);
      expect(queue.calls).toHaveLength(before + 1);
      settle(BROKEN, ...unsent('-', '1'));
    }
    expect(errors).toHaveLength(5);
  });

  it('begins with the short delay again after a success', () => {
    const { queue, settle, unsent } = make();
    for (const delay of [75, 125]) {
      settle(BROKEN, ...unsent('-', '1'));
      vi.advanceTimersByTime(delay);
    }
    expect(queue.calls).toHaveLength(2);
    settle();
    settle(BROKEN, ...unsent('-', '2'));
    vi.advanceTimersByTime(75);
    expect(queue.calls).toHaveLength(3);
  });

  it('waits longer for a Redis that refuses', () => {
    const { queue, settle, unsent } = make();
    const delays = [75, 125, 225, 425, 825, 1_625];
    for (const delay of delays) {
      settle(REFUSED, ...unsent('-', '1'));
      vi.advanceTimersByTime(delay - 1);
      const before = queue.calls.length;
      vi.advanceTimersByTime(1);
      expect(queue.calls).toHaveLength(before + 1);
    }
    // A connection that breaks after as many tries.
    settle(BROKEN, ...unsent('-', '1'));
    vi.advanceTimersByTime(525);
    expect(queue.calls).toHaveLength(delays.length + 1);
  });

  it('sends at once when Redis is connected anew, and then begins with the short delay', () => {
    const { drain, queue, settle, unsent } = make();
    for (const delay of [75, 125]) {
      settle(BROKEN, ...unsent('-', '1'));
      vi.advanceTimersByTime(delay);
    }
    settle(BROKEN, ...unsent('-', '1'));
    drain.resume();
    expect(queue.calls).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
    settle(BROKEN, ...unsent('-', '1'));
    vi.advanceTimersByTime(75);
    expect(queue.calls).toHaveLength(4);
  });

  it('keeps the long delay when a Redis that refuses is connected anew', () => {
    const { drain, queue, settle, unsent } = make();
    for (const delay of [75, 125]) {
      settle(REFUSED, ...unsent('-', '1'));
      vi.advanceTimersByTime(delay);
    }
    drain.resume();
    settle(REFUSED, ...unsent('-', '1'));
    vi.advanceTimersByTime(224);
    expect(queue.calls).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(queue.calls).toHaveLength(3);
  });

  it('does not hasten a retry that is due when more messages come', () => {
    const { queue, keep, settle, unsent } = make();
    settle(BROKEN, ...unsent('-', '1'));
    vi.advanceTimersByTime(74);
    keep('2');
    expect(queue.calls).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(sent(queue)).toEqual([['1', '2']]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('has one retry, however many calls fail', () => {
    const { queue, settle, unsent } = make();
    settle(BROKEN, ...unsent('-', '1'));
    settle(BROKEN, ...unsent('-', '2'));
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1_000);
    expect(sent(queue)).toEqual([['2', '1']]);
  });

  it('puts back in the order of the calls what failed in another one', () => {
    const { drain, queue, unsent } = make();
    drain.fail(2, unsent('-', '3'), BROKEN);
    drain.fail(1, unsent('-', '1', '2'), BROKEN);
    expect(drain.size).toBe(3);
    drain.settle();
    expect(drain.size).toBe(3);
    vi.advanceTimersByTime(1_000);
    expect(sent(queue)).toEqual([['1', '2', '3']]);
  });

  it('sends messages that come after a retry found Redis away, when it is back', () => {
    const { transport, queue, keep, settle, unsent } = make();
    transport.writable = false;
    settle(BROKEN, ...unsent('-', '1'));
    vi.advanceTimersByTime(75);
    expect(queue.calls).toEqual([]);
    transport.writable = true;
    keep('2');
    expect(sent(queue)).toEqual([['1', '2']]);
  });
});

describe('OutboxDrain: after close()', () => {
  it('tries and reports nothing more', () => {
    const { drain, queue, errors, settle, unsent } = make();
    settle(BROKEN, ...unsent('-', '1'));
    drain.close();
    expect(vi.getTimerCount()).toBe(0);
    settle(BROKEN, ...unsent('-', '2'));
    expect(vi.getTimerCount()).toBe(0);
    expect(errors).toHaveLength(1);
    expect(queue.calls).toEqual([]);
  });
});
