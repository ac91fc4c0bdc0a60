import { Logger } from '@nestjs/common';
import {
  batch,
  entity,
  everything,
  InvalidationConfigurationError,
  InvalidMessageError,
  NearCacheFactory,
  pattern,
  type CacheInvalidationError,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import {
  CacheAuditor,
  type AuditableCache,
  type CacheAuditOptions,
  type StaleCopy,
  type TruthLoader,
} from 'nestjs-cache-invalidation/audit';
import { LRUCache } from 'lru-cache';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Instance } from '../../lib/message/index.js';
import { AuditCounts } from '../../lib/audit/cache-audit-report.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { ErrorReporter, InvalidationStream } from '../../lib/stream/index.js';
import { startApp } from '../support/app.js';

Logger.overrideLogger(false);

interface User {
  readonly version: number;
}

interface Setup {
  readonly auditor: CacheAuditor;
  /** Copies that the auditor checks; nothing evicts them. */
  readonly copies: Map<string, User | null>;
  /** Rows that the copies must equal; `loads` records the ids that were loaded. */
  readonly rows: Map<string, User>;
  readonly loads: string[];
  readonly stale: StaleCopy[];
  readonly errors: CacheInvalidationError[];
  say(invalidation: Invalidation): void;
  watch(
    options?: CacheAuditOptions<User | null>,
    load?: TruthLoader<User | null>,
    peek?: AuditableCache<User | null>['peek'],
  ): () => void;
}

function setup(): Setup {
  const instance = new Instance('test');
  const reporter = new ErrorReporter();
  const stream = new InvalidationStream(
    { handlerQueueLimit: 10, queueByteLimit: Infinity },
    new InvalidationCounters(instance),
    reporter,
  );
  const auditor = new CacheAuditor(stream, reporter);
  const copies = new Map<string, User | null>();
  const rows = new Map<string, User>();
  const loads: string[] = [];
  const stale: StaleCopy[] = [];
  const errors: CacheInvalidationError[] = [];
  auditor.stale$.subscribe((each) => stale.push(each));
  reporter.errors$.subscribe((error) => errors.push(error));
  const truth: TruthLoader<User | null> = async (id) => {
    loads.push(id);
    return rows.get(id) ?? null;
  };
  return {
    auditor,
    copies,
    rows,
    loads,
    stale,
    errors,
    say: (invalidation) => stream.deliver(instance.stamp(invalidation)),
    watch: (options, load = truth, peek = (id) => copies.get(id)) =>
      auditor.watch<User | null>({ entityType: 'User', peek }, load, {
        sampleRate: 1,
        ...options,
      }),
  };
}

/** One user with a copy and a row, the common start of most tests. */
function withOneUser({ copy = 1, row = 1 } = {}): Setup {
  const made = setup();
  made.copies.set('1', { version: copy });
  made.rows.set('1', { version: row });
  return made;
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

describe('CacheAuditor', () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ['setInterval', 'clearInterval', 'performance'],
    });
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  it('compares a copy 1, 5 and 60 s after its invalidation', async () => {
    const { auditor, watch, say, loads } = withOneUser();
    watch();
    say(entity('User', 1));
    const counts: number[] = [];
    for (const ms of [990, 200, 3_700, 300, 54_800, 400, 200_000]) {
      await pass(ms);
      counts.push(loads.length);
    }
    expect(counts).toEqual([0, 1, 1, 2, 2, 3, 3]);
    expect(auditor.report()).toEqual({
      checked: 3,
      consistent: 3,
      stale: 0,
      undecided: 0,
      skipped: 0,
      errors: 0,
      share: 1,
      nines: expect.closeTo(0, 2),
      histogram: { 1000: 0, 3000: 0, 30000: 0 },
    });
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does nothing before watch(), or when nothing is cached', async () => {
    const { auditor, watch, say, loads, copies } = withOneUser();
    say(entity('User', 1));
    expect(vi.getTimerCount()).toBe(0);
    watch();
    expect(vi.getTimerCount()).toBe(0);
    copies.clear();
    say(entity('User', 1));
    await pass(100_000);
    expect(loads).toEqual([]);
    expect(auditor.report()).toMatchObject({ checked: 0, share: null });
    expect(auditor.report().nines).toBe(0);
  });

  it('reports a copy that no invalidation evicted, without its value', async () => {
    const { auditor, watch, say, stale } = withOneUser({ copy: 1, row: 2 });
    watch();
    say(entity('User', 1));
    await pass(100_000);
    expect(auditor.report()).toMatchObject({
      checked: 3,
      stale: 3,
      share: 0,
      nines: 0,
      histogram: { 1000: 1, 3000: 1, 30000: 1 },
    });
    expect(stale.map(({ key }) => key)).toEqual(['user:1', 'user:1', 'user:1']);
    expect(Object.keys(stale[0]!)).toEqual(['key', 'staleFor']);
    const since = [1_000, 4_800, 59_800];
    for (const [at, { staleFor }] of stale.entries()) {
      expect(staleFor).toBeGreaterThanOrEqual(since[at]!);
      expect(staleFor).toBeLessThan(since[at]! + 500);
    }
  });

  it('follows the keys of a batch, of its entity type only', async () => {
    const { watch, say, loads, copies } = setup();
    for (const id of ['1', '2', '3']) copies.set(id, null);
    watch();
    say(batch(['user:1', 'post:3', 'user:2', 'users:3']));
    say(entity('Post', 3));
    say(pattern('user:3'));
    say(everything());
    await pass(1_200);
    expect(loads).toEqual(['1', '2']);
  });

  it('waits for an invalidation that is still in flight', async () => {
    const { auditor, watch, say, rows, loads } = withOneUser();
    watch();
    say(entity('User', 1));
    await pass(900);
    rows.set('1', { version: 2 });
    await pass(200);
    expect(loads).toHaveLength(1);
    say(entity('User', 1));
    await pass(1_500);
    expect(loads).toHaveLength(1);
    expect(auditor.report()).toMatchObject({ checked: 0, undecided: 1 });
  });

  it.each([
    ['is compared', 1],
    ['is confirmed', 2],
  ])(
    'does not count a key that is invalidated while it %s',
    async (_, load) => {
      const { auditor, watch, say } = withOneUser();
      let loads = 0;
      watch({}, async () => {
        if (++loads === load) say(pattern('user:*'));
        return { version: 2 };
      });
      say(entity('User', 1));
      await pass(2_500);
      expect(loads).toBe(load);
      expect(auditor.report()).toMatchObject({ stale: 0, undecided: 1 });
    },
  );

  it('does not count a copy that was replaced, or confirmed', async () => {
    const { auditor, watch, say, copies, rows } = setup();
    for (const id of ['1', '2', '3']) copies.set(id, { version: 1 });
    watch();
    say(batch(['user:1', 'user:2', 'user:3']));
    await pass(1_200);
    copies.set('1', { version: 3 });
    copies.delete('2');
    rows.set('3', { version: 1 });
    await pass(1_500);
    expect(auditor.report()).toMatchObject({
      consistent: 1,
      stale: 0,
      undecided: 2,
    });
  });

  it('treats a copy that peek() creates each time as the same', async () => {
    const { auditor, watch, say } = withOneUser({ row: 2 });
    watch({}, undefined, async () => ({ version: 1 }));
    say(entity('User', 1));
    await pass(2_500);
    expect(auditor.report().stale).toBe(1);
  });

  it.each([
    ['right', { version: 2 }],
    ['gone', null],
    ['another', { version: 3 }],
  ])('restarts the age of a stale copy after it was %s', async (_, between) => {
    const { auditor, watch, say, stale, copies } = withOneUser({ row: 2 });
    watch();
    say(entity('User', 1));
    await pass(2_500);
    if (between === null) copies.delete('1');
    else copies.set('1', between);
    await pass(4_000);
    copies.set('1', { version: 1 });
    await pass(60_000);
    for (const { staleFor } of stale) expect(staleFor).toBeLessThan(1_500);
    const { histogram } = auditor.report();
    expect(histogram).toEqual({ 1000: stale.length, 3000: 0, 30000: 0 });
  });

  it('keeps the age of a copy through ignored invalidations', async () => {
    const { watch, say, stale } = withOneUser({ row: 2 });
    watch();
    say(entity('User', 1));
    await pass(3_500);
    say(entity('User', 1));
    await pass(3_000);
    expect(stale).toHaveLength(2);
    expect(stale[1]!.staleFor).toBeGreaterThan(4_000);
  });

  it('checks a key that is invalidated all the time', async () => {
    const { auditor, watch, say } = withOneUser();
    watch();
    for (let i = 0; i < 150; i++) {
      say(entity('User', 1));
      await pass(500);
    }
    expect(auditor.report().checked).toBeGreaterThanOrEqual(3);
  });

  it('follows the share of keys of sampleRate', async () => {
    const { watch, say, loads, copies } = setup();
    for (const id of ['1', '2', '3']) copies.set(id, null);
    const random = vi.spyOn(Math, 'random');
    for (const drawn of [0.3, 0.1, 0.2]) random.mockReturnValueOnce(drawn);
    watch({ sampleRate: 0.2 });
    say(batch(['user:1', 'user:2', 'user:3']));
    await pass(1_200);
    expect(loads).toEqual(['2']);
  });

  it('loads no more often than maxPerSecond', async () => {
    const { auditor, watch, say, loads, copies } = setup();
    const keys = Array.from({ length: 50 }, (_, id) => `user:${id}`);
    for (const key of keys) copies.set(key.slice(5), null);
    watch({ maxPerSecond: 7 });
    say(batch(keys));
    await pass(500);
    say(batch(keys.map((key) => `${key}0`)));
    for (const key of keys) copies.set(`${key.slice(5)}0`, null);
    await pass(1_200);
    expect(loads).toHaveLength(7);
    expect(auditor.report()).toMatchObject({ checked: 7 });
    const { skipped } = auditor.report();
    expect(skipped).toBeGreaterThan(80);
    await pass(4_000);
    expect(loads).toHaveLength(14);
  });

  it('follows at most 1,000 keys at a time, even if loads never end', async () => {
    const { auditor, watch, say, copies } = setup();
    const keys = Array.from({ length: 1_500 }, (_, id) => `user:${id}`);
    for (const key of keys) copies.set(key.slice(5), null);
    let loads = 0;
    watch({ maxPerSecond: 10_000 }, () => {
      loads++;
      return new Promise(() => {});
    });
    for (let i = 0; i < 3; i++) {
      say(batch(keys));
      await pass(2_000);
    }
    expect(loads).toBe(1_000);
    expect(auditor.report().skipped).toBe(3 * 500);
  });

  it('counts and reports errors, and continues', async () => {
    const { auditor, watch, say, errors, copies } = setup();
    copies.set('1', { version: 1 });
    let loads = 0;
    watch({}, () => {
      if (++loads === 1) throw new Error('of the loader');
      if (loads === 2) return Promise.reject(new Error('later'));
      return { version: 1 };
    });
    say(entity('User', 1));
    await pass(100_000);
    expect(auditor.report()).toMatchObject({ errors: 2, consistent: 1 });
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining('The audit of User could not'),
      expect.stringContaining('later'),
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('continues when peek or equals throws', async () => {
    const { auditor, watch, say } = withOneUser();
    const fail = (): never => {
      throw new Error('of the application');
    };
    watch({ equals: fail });
    watch({}, undefined, fail);
    // Untyped callers may pass an async function, whose promise is not `true`.
    watch({ equals: (async () => false) as never });
    say(entity('User', 1));
    await pass(1_200);
    expect(auditor.report()).toMatchObject({ errors: 3, checked: 0 });
  });

  it('calls equals only with existing values', async () => {
    const { auditor, watch, say, copies, rows } = setup();
    copies.set('1', { version: 1 });
    copies.set('2', null);
    copies.set('3', null);
    rows.set('1', { version: 2 });
    rows.set('3', { version: 1 });
    watch({ equals: () => true });
    say(batch(['user:1', 'user:2', 'user:3']));
    await pass(2_500);
    expect(auditor.report()).toMatchObject({ consistent: 2, stale: 1 });
  });

  it('has no timer after stop(), and counts nothing later', async () => {
    const { auditor, watch, say, copies } = withOneUser();
    let finish!: (user: User) => void;
    const stop = watch(
      {},
      () => new Promise<User>((resolve) => (finish = resolve)),
    );
    copies.set('2', null);
    say(entity('User', 1));
    await pass(1_200);
    say(entity('User', 2));
    expect(vi.getTimerCount()).toBe(1);
    stop();
    expect(vi.getTimerCount()).toBe(0);
    finish({ version: 1 });
    say(entity('User', 1));
    await pass(100_000);
    expect(auditor.report().checked).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not start after the shutdown', () => {
    const { auditor, watch, say } = withOneUser();
    watch();
    auditor.onModuleDestroy();
    watch();
    say(entity('User', 1));
    expect(vi.getTimerCount()).toBe(0);
  });

  it('reports every invalid option', () => {
    const { watch, auditor } = setup();
    let thrown: unknown;
    try {
      watch({ sampleRate: 1.1, maxPerSecond: 0 });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(InvalidationConfigurationError);
    const { problems } = thrown as InvalidationConfigurationError;
    expect(problems.map(({ field }) => field)).toEqual([
      'sampleRate',
      'maxPerSecond',
    ]);
    expect(() => watch({ sampleRate: Number.NaN })).toThrow('sampleRate');
    const cache = { entityType: '' as 'User', peek: () => undefined };
    expect(() => auditor.watch(cache, () => null)).toThrow(InvalidMessageError);
  });
});

describe('AuditCounts: nines', () => {
  const ninesOf = (checked: number, stale: number): number => {
    const counts = new AuditCounts();
    counts.consistent = checked - stale;
    for (let i = 0; i < stale; i++) counts.stale(0);
    return counts.report().nines;
  };

  it.each([
    [3, 0, 0],
    [300, 0, 2],
    [300_000, 0, 5],
    // Exact bounds of the Poisson distribution: 4.74, 6.30, 16.96, 117.9.
    [1_000, 1, 2.324],
    [1_000, 2, 2.201],
    [1_000, 10, 1.771],
    [100_000, 100, 2.928],
    [5, 5, 0],
  ])('of %i with %i stale are at least %d', (checked, stale, nines) => {
    expect(ninesOf(checked, stale)).toBeCloseTo(nines, 1);
  });

  it('decrease with each stale copy, and never exceed -log10(1 - share)', () => {
    for (let stale = 0; stale < 500; stale++) {
      expect(ninesOf(1_000, stale + 1)).toBeLessThan(ninesOf(1_000, stale));
      expect(ninesOf(1_000, stale)).toBeLessThan(-Math.log10(stale / 1_000));
    }
  });
});

describe('CacheAuditor in an application', () => {
  it('reports a cache that ignores invalidations, and not the others', async () => {
    const { context, publisher, subscriber } = await startApp();
    const auditor = context.get(CacheAuditor);
    const rows = new Map<string, User>();
    const load = async (id: string): Promise<User> => ({ ...rows.get(id)! });
    const near = context.get(NearCacheFactory).create<User>('User');
    const bound = new LRUCache<string, User>({ max: 10 });
    const broken = new Map<string, User>();
    subscriber.bind(bound);
    auditor.watch(near, load, { sampleRate: 1 });
    auditor.watch(
      { entityType: 'User', peek: (id) => bound.peek(`user:${id}`) },
      load,
      { sampleRate: 1 },
    );
    const stop = auditor.watch(
      { entityType: 'User', peek: (id) => broken.get(id) },
      load,
      { sampleRate: 1 },
    );
    const stale: StaleCopy[] = [];
    auditor.stale$.subscribe((each) => stale.push(each));

    rows.set('1', { version: 1 });
    broken.set('1', await load('1'));
    bound.set('user:1', await load('1'));
    await near.get('1', () => load('1'));
    const before = near.stats;
    rows.set('1', { version: 2 });
    await publisher.invalidate('User', 1);
    expect(bound.size).toBe(0);
    bound.set('user:1', await load('1'));
    await near.get('1', () => load('1'));
    const { hits, misses } = near.stats;
    expect([hits, misses]).toEqual([before.hits, before.misses + 1]);

    await expect.poll(() => stale, { timeout: 10_000 }).toHaveLength(1);
    expect(stale[0]!.key).toBe('user:1');
    expect(stale[0]!.staleFor).toBeGreaterThanOrEqual(1_000);
    const report = auditor.report();
    expect(report).toMatchObject({ stale: 1, undecided: 0, errors: 0 });
    expect(report.consistent).toBeGreaterThanOrEqual(2);
    // Reads by the auditor do not count as uses of an entry.
    expect([near.stats.hits, near.stats.misses]).toEqual([hits, misses]);
    stop();
  });

  it('stops with its application', async () => {
    const { context, publisher, close } = await startApp();
    const auditor = context.get(CacheAuditor);
    const cleared = vi.spyOn(globalThis, 'clearInterval');
    const began = vi.spyOn(globalThis, 'setInterval');
    const cache = { entityType: 'User', peek: () => 1 } as const;
    let completed = false;
    auditor.stale$.subscribe({ complete: () => (completed = true) });
    auditor.watch(cache, () => 1, { sampleRate: 1 });
    await publisher.invalidate('User', 1);
    expect(began).toHaveBeenCalledTimes(1);
    const timer: unknown = began.mock.results[0]!.value;
    await close();
    expect(cleared).toHaveBeenCalledWith(timer);
    expect(completed).toBe(true);
    auditor.watch(cache, () => 1, { sampleRate: 1 });
    expect(began).toHaveBeenCalledTimes(1);
    vi.restoreAllMocks();
  });
});
