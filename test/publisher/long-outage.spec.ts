import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Logger } from '@nestjs/common';
import { expect, it, onTestFinished } from 'vitest';
import {
  buildCacheKey,
  compilePattern,
  decodeMessage,
  Instance,
  keysOf,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { eventually } from '../support/eventually.js';
import { publisherParts, ROOMY } from '../support/parts.js';
import { ScriptedTransport } from '../support/scripted.transport.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const LIMIT = 1_000;
const TICK = 1_000;
const COUNT = 1_000_000;
const MEBIBYTE = 1_048_576;

const TYPES = ['User', 'Post', 'session'] as const;
const typeOf = (id: number): string => TYPES[id % TYPES.length]!;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

it(
  'Outbox: a million invalidations during an outage do not grow the memory, and all are sent',
  { timeout: 240_000 },
  async () => {
    const transport = new ScriptedTransport();
    transport.writable = false;
    const instance = new Instance('s');
    const meter = new InvalidationCounters(instance);
    const { publisher, queue, shutdown } = publisherParts(
      {
        ...ROOMY,
        outboxLimit: LIMIT,
        maxBatchSize: 1_000,
        maxMessageBytes: 4 * MEBIBYTE,
      },
      instance,
      transport,
      meter,
    );
    onTestFinished(() => shutdown.run());
    let most = 0;
    const publish = async (from: number, to: number): Promise<void> => {
      for (let start = from; start < to; start += TICK) {
        const receipts = await Promise.all(
          Array.from({ length: TICK }, (_, i) =>
            publisher.invalidate(typeOf(start + i), start + i),
          ),
        );
        expect(receipts.every(({ status }) => status === 'queued')).toBe(true);
        most = Math.max(most, publisher.pending);
      }
    };

    // A first round, so that objects that are made only once exist.
    await publish(0, 10 * TICK);
    const before = heapUsed();
    await publish(10 * TICK, COUNT);
    const after = heapUsed();

    expect(most).toBeLessThanOrEqual(LIMIT);
    // Keeping all of the messages would take several hundred.
    expect((after - before) / MEBIBYTE).toBeLessThan(16);
    expect(meter.totals).toMatchObject({ queued: COUNT, delivered: COUNT });

    transport.obliging = true;
    transport.writable = true;
    queue.resume();
    await eventually(() => expect(publisher.pending).toBe(0));
    const sent = transport.sent
      .flat()
      .map((payload) => decodeMessage(payload, Infinity));
    expect(sent.length).toBeLessThanOrEqual(LIMIT);
    const keys = new Set(sent.flatMap((message) => keysOf(message) ?? []));
    const coarse = sent.flatMap(({ pattern }) =>
      pattern === null ? [] : [compilePattern(pattern)],
    );
    let forgotten = 0;
    for (let id = 0; id < COUNT; id++) {
      const key = buildCacheKey(typeOf(id), id);
      if (!keys.has(key) && !coarse.some((matches) => matches(key)))
        forgotten++;
    }
    expect(forgotten).toBe(0);
  },
);
