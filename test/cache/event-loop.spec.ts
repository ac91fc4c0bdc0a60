import { LRUCache } from 'lru-cache';
import { describe, expect, it } from 'vitest';
import { bindCache } from '../../lib/cache/binding/bind-cache.js';
import { NearCache, resolveNearCache } from '../../lib/cache/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { ErrorReporter } from '../../lib/stream/error-reporter.js';
import { Fences, InvalidationStream } from '../../lib/stream/index.js';
import {
  batch,
  Instance,
  patternOf,
  type Invalidation,
} from '../../lib/message/index.js';

import { HandSource } from './setup.js';

const instance = new Instance('test');
const IDS = Array.from({ length: 5_000 }, (_, id) => `${'a'.repeat(60)}${id}`);
const NAMES = IDS.map((id) => `user:${id}`);
/** The entries of ten bound caches, of which one is large. */
const SETS = Array.from({ length: 10 }, (_, index) =>
  index > 0 ? NAMES : NAMES.flatMap((name) => [name, ...numbered(name)]),
);

function numbered(name: string): string[] {
  return Array.from({ length: 30 }, (_, number) => `${name}-${number}`);
}

/** Written by somebody who wants them to take long. */
const HOSTILE: Record<string, Invalidation> = {
  'nothing matches': patternOf('user:z*q'),
  'a literal that nearly occurs': patternOf(`user:*${'a'.repeat(59)}b*`),
  'many stars': patternOf(`user:${'*a'.repeat(500)}*b`),
  'many question marks': patternOf(`user:*${'?'.repeat(55)}b*`),
  'many classes': patternOf(`user:*${'[^b]'.repeat(55)}b*`),
  'a batch of many keys': batch(
    Array.from({ length: 75_000 }, (_, id) => `user:zz${id}`),
  ),
  'a batch for others': batch(
    Array.from({ length: 75_000 }, (_, id) => `x:${id}`),
  ),
};

/** Processor time, since others may have the processor meanwhile, in milliseconds. */
function spentOn(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

function newStream(): InvalidationStream {
  const errors = new ErrorReporter();
  return new InvalidationStream(
    { handlerQueueLimit: 1_000, queueByteLimit: 16_777_216 },
    new InvalidationCounters(instance),
    errors,
  );
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function newNearCaches(fences: Fences): Promise<NearCache<number>[]> {
  const source = { fence: () => fences.take(), position: null, bypass: false };
  const options = resolveNearCache<number>({ max: 100_000 });
  const caches = Array.from(
    { length: 10 },
    () => new NearCache<number>('User', options, source, null),
  );
  for (const cache of caches) {
    await cache.getMany(IDS, (ids) => new Map(ids.map((id) => [id, 1])));
  }
  return caches;
}

describe.each(Object.entries(HOSTILE))(
  'Event loop: a message with %s',
  (_, said) => {
    const message = { ...instance.stamp(said), own: false };
    /** A generous limit, for a machine that is busy or slow. */
    const LONGEST = 50;
    /**
     * Threads of the compiler and of the garbage collector count too, so the minimum of
     * several runs is the cost of the message.
     */
    const RUNS = 4;

    const newBoundStream = (): InvalidationStream => {
      const stream = newStream();
      for (const [index, names] of SETS.entries()) {
        const cache =
          index % 2 === 0
            ? new Map<string, number>()
            : new LRUCache({ max: 20_000 });
        for (const name of names) cache.set(name, 1);
        bindCache(stream, new HandSource(), new ErrorReporter(), cache, {
          subKeys: index % 4 === 0,
        });
      }
      return stream;
    };

    it('does not block the event loop with many bound caches', () => {
      const held = Array.from({ length: RUNS }, () => {
        const stream = newBoundStream();
        return spentOn(() => stream.deliver(message));
      });
      expect(Math.min(...held)).toBeLessThan(LONGEST);
    });

    it('does not block the event loop with many near caches', async () => {
      const held: number[] = [];
      for (let run = 0; run < RUNS; run++) {
        const fences = new Fences();
        const caches = await newNearCaches(fences);
        const turns = [
          spentOn(() => {
            fences.record(message);
            for (const cache of caches) cache.apply(message);
          }),
        ];
        for (let step = 0; step < 20; step++) {
          const before = process.cpuUsage();
          await turn();
          turns.push(process.cpuUsage(before).user / 1_000);
        }
        held.push(Math.max(...turns));
      }
      expect(Math.min(...held)).toBeLessThan(LONGEST);
    });
  },
);

describe('Fences: the memory of recent messages', () => {
  it('costs no more time when it is full', () => {
    const fences = new Fences();
    fences.take();
    fences.trackPositions();
    const note = (from: number): number =>
      spentOn(() => {
        for (let id = from; id < from + 50_000; id++) {
          fences.record({ ...patternless, entityId: String(id) });
          fences.reached(`${id}-0`, true);
        }
      });
    note(0);
    // Full from here on: with a new iterator for each it took seconds.
    expect(note(50_000) + note(100_000)).toBeLessThan(1_000);
  });
});

const patternless = {
  action: 'Delete',
  entityType: 'User',
  pattern: null,
  entityIds: null,
  metadata: null,
} as const;
