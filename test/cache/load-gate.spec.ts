import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  NearCache,
  resolveNearCache,
  type NearCacheOptions,
} from '../../lib/cache/index.js';
import { LoadGate } from '../../lib/cache/near/load-gate.js';
import { CacheBusyError } from '../../lib/errors/index.js';
import {
  entity,
  everything,
  type Invalidation,
} from '../../lib/message/index.js';
import { InvalidationScope } from '../../lib/publisher/index.js';
import {
  deferred,
  HandSource,
  makeTier,
  RecordingStore,
  turn,
} from './setup.js';

type Row = string | undefined;

const tables: Table[] = [];

/** Loads that no test ended would reject their readers a minute later. */
afterEach(async () => {
  for (const table of tables.splice(0)) {
    while (table.running > 0) await table.end();
  }
});

/** A table whose loads end when the test says so, in a cache with turns. */
class Table {
  readonly source = new HandSource();
  /** Ids in the order in which their loads have begun. */
  readonly begun: string[] = [];
  readonly cache: NearCache<Row>;
  /** Loads that have begun and not ended. */
  readonly #loads: { id: string; end: (row: Row) => void }[] = [];

  constructor(
    concurrency: number,
    options: NearCacheOptions<Row> = {},
    hasTier = false,
  ) {
    tables.push(this);
    const load = { concurrency, maxWait: 60_000, ...options.load };
    const resolved = resolveNearCache({ ...options, load });
    this.cache = new NearCache<Row>(
      'User',
      resolved,
      this.source,
      hasTier ? makeTier<Row>(this.source).tier : null,
      undefined,
      null,
      new LoadGate('Users', resolved.load!),
    );
  }

  get running(): number {
    return this.#loads.length;
  }

  read(id: string): Promise<Row> {
    return this.cache.get(id, () => this.load(id));
  }

  load(id: string): Promise<Row> {
    this.begun.push(id);
    const { promise, resolve } = deferred<Row>();
    this.#loads.push({ id, end: resolve });
    return promise;
  }

  /** Ends the load that has begun first. */
  async end(row?: Row): Promise<void> {
    const { id, end } = this.#loads.shift()!;
    end(row ?? `row ${id}`);
    await turn();
  }

  say(said: Invalidation): void {
    this.cache.apply(this.source.hear(said));
  }
}

const never = (): never => expect.unreachable();

describe('NearCache: load.concurrency', () => {
  it('runs so many loads at a time, and the others in the order in which they were asked for', async () => {
    const table = new Table(2);
    const ids = ['1', '2', '3', '4', '5'];
    const reads = Promise.all(ids.map((id) => table.read(id)));
    expect(table.begun).toEqual(['1', '2']);
    for (const [at, running] of [2, 2, 2, 1, 0].entries()) {
      await table.end();
      expect(table.running).toBe(running);
      expect(table.begun).toEqual(ids.slice(0, at + 3));
    }
    expect(await reads).toEqual(ids.map((id) => `row ${id}`));
    expect(table.cache.stats).toMatchObject({ loads: 5, size: 5 });
    // All turns are free again.
    void table.read('6');
    void table.read('7');
    void table.read('8');
    expect(table.running).toBe(2);
    // A read that went on waiting would reject in another test.
    for (let left = 3; left > 0; left--) await table.end();
  });

  it('passes on the turn of a load that fails or throws', async () => {
    const table = new Table(1);
    const failing = deferred<Row>();
    const failed = table.cache.get('1', () => failing.promise);
    const thrown = table.cache.get('2', () => {
      throw new Error('thrown');
    });
    const read = table.read('3');
    failing.reject(new Error('failed'));
    await expect(failed).rejects.toThrow('failed');
    await expect(thrown).rejects.toThrow('thrown');
    await table.end();
    expect(await read).toBe('row 3');
  });

  it('counts getMany() as one load', async () => {
    const table = new Table(1);
    const slow = deferred<Map<string, Row>>();
    const many = table.cache.getMany(['1', '2', '3'], () => slow.promise);
    const read = table.read('4');
    expect(table.begun).toEqual([]);
    slow.resolve(new Map([['1', 'one']]));
    expect([...(await many)]).toEqual([['1', 'one']]);
    await table.end();
    expect(await read).toBe('row 4');
  });

  it('keeps a value whose load an invalidation found waiting, and lets later reads join it', async () => {
    const table = new Table(1);
    void table.read('1');
    const before = table.read('2');
    table.say(everything());
    const after = table.cache.get('2', never);
    await table.end();
    await table.end('new');
    expect(await Promise.all([before, after])).toEqual(['new', 'new']);
    expect(table.cache.peek('2')).toBe('new');
    expect(table.cache.peek('1')).toBeUndefined();
    expect(table.cache.stats).toMatchObject({ loads: 2, overtaken: 1 });
  });

  it('neither keeps nor shares a value that an invalidation overtakes after its wait', async () => {
    const table = new Table(1);
    void table.read('1');
    const before = table.read('2');
    await table.end();
    table.say(entity('User', 2));
    const after = table.read('2');
    await table.end('old');
    expect(await before).toBe('old');
    expect(table.cache.peek('2')).toBeUndefined();
    await table.end('new');
    expect(await after).toBe('new');
    expect(table.cache.peek('2')).toBe('new');
  });

  it('stores in Redis the position at which a load begins, not at which it was asked for', async () => {
    const source = new HandSource();
    const { tier, store } = makeTier<string>(source);
    const resolved = resolveNearCache<string>({
      load: { concurrency: 1 },
      l2: {},
    });
    const cache = new NearCache<string>(
      'User',
      resolved,
      source,
      tier,
      undefined,
      null,
      new LoadGate('Users', resolved.load!),
    );
    const slow = deferred<string>();
    const first = cache.get('1', () => slow.promise);
    const second = cache.get('2', () => 'new');
    await vi.waitFor(() => expect(cache.stats.loads).toBe(1));
    cache.apply(source.hear(entity('User', 2), '6-0'));
    slow.resolve('old');
    expect(await Promise.all([first, second])).toEqual(['old', 'new']);
    await vi.waitFor(() =>
      expect(store.of('put')).toEqual([
        'put near:user:1 5-0',
        'put near:user:2 6-0',
      ]),
    );
    // Read from Redis, the value is right as well.
    expect(await tier.get('user:2')).toMatchObject({ value: 'new' });
  });

  it('does not join what the second tier has, once an invalidation has come', async () => {
    const table = new Table(1, { l2: {} }, true);
    const first = table.read('1');
    await vi.waitFor(() => expect(table.running).toBe(1));
    // Its read of the second tier is under way: it does not wait for its turn yet.
    const early = table.read('2');
    table.say(entity('User', 2));
    const late = table.read('2');
    await turn();
    await table.end();
    await table.end('a');
    await table.end('b');
    expect(await Promise.all([first, early, late])).toEqual([
      'row 1',
      'a',
      'b',
    ]);
  });

  it('rejects reads of a load that has waited for maxWait, and does not begin it', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const table = new Table(1, { load: { concurrency: 1, maxWait: 500 } });
    const first = table.read('1');
    const reads = [table.read('2'), table.cache.get('2', never)];
    const rejected = Promise.allSettled(reads);
    await vi.advanceTimersByTimeAsync(499);
    const last = table.read('3');
    await vi.advanceTimersByTimeAsync(1);
    for (const { reason } of (await rejected) as PromiseRejectedResult[]) {
      expect(reason).toBeInstanceOf(CacheBusyError);
      expect(reason).toMatchObject({
        code: 'CACHE_INVALIDATION_CACHE_BUSY',
        cache: 'Users',
        maxWait: 500,
        message:
          'A load of the near cache Users has waited 500 ms for one of 1 others to end. Give the loader a timeout, or raise load.concurrency if its source can take more.',
      });
    }
    vi.useRealTimers();
    await table.end();
    await table.end();
    expect(await Promise.all([first, last])).toEqual(['row 1', 'row 3']);
    expect(table.begun).toEqual(['1', '3']);
    // The read that was rejected has left nothing behind.
    const again = table.read('2');
    await table.end();
    expect(await again).toBe('row 2');
  });

  it('lets a load read the same cache, also what waits for its turn', async () => {
    const table = new Table(1);
    const parent = table.cache.get('child', async () => {
      await turn();
      return `${await table.read('parent')}, child`;
    });
    const waiting = table.read('parent');
    await vi.waitFor(() => expect(table.running).toBe(1));
    await table.end('nested');
    expect(await parent).toBe('nested, child');
    await table.end('waited');
    expect(await waiting).toBe('waited');
  });

  it('lets a load read what is looked for in the second tier, and will wait for its turn', async () => {
    const lookedFor = deferred<void>();
    class SlowStore extends RecordingStore {
      override async get(key: string): Promise<Buffer | null> {
        if (key.endsWith('parent')) await lookedFor.promise;
        return super.get(key);
      }
    }
    const source = new HandSource();
    const { tier } = makeTier<Row>(source, {}, { store: new SlowStore() });
    const resolved = resolveNearCache<Row>({
      load: { concurrency: 1, maxWait: 200 },
      l2: {},
    });
    const gate = new LoadGate('Users', resolved.load!);
    const more = [undefined, null, gate] as const;
    const cache = new NearCache<Row>('User', resolved, source, tier, ...more);
    const begun = deferred<void>();
    const go = deferred<void>();
    const child = cache.get('child', async () => {
      begun.resolve();
      await go.promise;
      return cache.get('parent', () => 'nested');
    });
    await begun.promise;
    const parent = cache.get('parent', () => 'waited');
    go.resolve();
    await turn();
    lookedFor.resolve();
    expect(await child).toBe('nested');
    expect(await parent).toMatch(/nested|waited/);
  });

  it('lets loads of two caches read each other', async () => {
    const load = { concurrency: 1, maxWait: 200 };
    const [users, teams] = [new Table(1, { load }), new Table(1, { load })];
    const user = users.cache.get('1', async () => {
      await turn();
      return teams.cache.get('1', () => 'team of user');
    });
    const team = teams.cache.get('2', async () => {
      await turn();
      return users.cache.get('2', () => 'user of team');
    });
    expect(await user).toBe('team of user');
    expect(await team).toBe('user of team');
  });

  it('makes work wait that a load has left behind', async () => {
    const table = new Table(1);
    const go = deferred<void>();
    let left: Promise<Row>[] = [];
    await table.cache.get('1', () => {
      left = ['2', '3'].map((id) => go.promise.then(() => table.read(id)));
      return 'row 1';
    });
    go.resolve();
    await turn();
    expect(table.running).toBe(1);
    await table.end();
    await table.end();
    expect(await Promise.all(left)).toEqual(['row 2', 'row 3']);
  });

  it('does not make reads of a unit of work wait', async () => {
    const table = new Table(1);
    void table.read('1');
    const value = await InvalidationScope.run(() =>
      table.cache.get('2', () => 'own'),
    );
    expect(value).toBe('own');
  });
});
