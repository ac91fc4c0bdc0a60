import { describe, expect, it } from 'vitest';
import {
  NearCache,
  resolveNearCache,
  type NearCacheOptions,
} from '../../lib/cache/index.js';
import { Dependencies } from '../../lib/cache/dependencies.js';
import { entity, type Invalidation } from '../../lib/message/index.js';
import { startApp, LogRecorder } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { Cached, NearCacheFactory } from 'nestjs-cache-invalidation';
import { L1Entry } from '../../lib/cache/near/l1-tier.js';
import { Refresher } from '../../lib/cache/near/refresher.js';
import { deferred, HandSource, makeTier, turn } from './setup.js';

type Row = string | null;

function makeCache(
  options: NearCacheOptions<Row> = {},
  {
    dependsOn,
    hasTier = false,
  }: { dependsOn?: Invalidation; hasTier?: boolean } = {},
) {
  const source = new HandSource();
  const tier = hasTier ? makeTier<Row>(source) : null;
  const failures: unknown[] = [];
  const cache = new NearCache<Row>(
    'User',
    resolveNearCache({ refreshAfter: 1, ...options }),
    source,
    tier?.tier ?? null,
    undefined,
    dependsOn &&
      new Dependencies<Row>(
        'test',
        () => dependsOn,
        null,
        () => {},
      ),
    null,
    (error) => failures.push(error),
  );
  return {
    source,
    cache,
    store: tier?.store,
    failures,
    say: (said: Invalidation) => cache.apply(source.hear(said)),
  };
}

/** Waits until entries are due that were stored before. */
async function due(): Promise<void> {
  const start = performance.now();
  while (performance.now() - start < 3) await turn();
}

const never = (): never => expect.unreachable();

describe('NearCache: refreshAfter', () => {
  it('serves the old value while one load replaces it', async () => {
    const { cache } = makeCache();
    await cache.get('1', () => 'old');
    await due();
    const slow = deferred<Row>();
    expect(await cache.get('1', () => slow.promise)).toBe('old');
    await due();
    // The refresh is under way: no read begins another one.
    expect(await cache.get('1', never)).toBe('old');
    expect([...(await cache.getMany(['1'], never))]).toEqual([['1', 'old']]);
    slow.resolve('new');
    await turn();
    expect(cache.peek('1')).toBe('new');
    expect(cache.stats).toMatchObject({ hits: 3, misses: 1, loads: 2 });
  });

  it('loads nothing before that, or without the option', async () => {
    for (const refreshAfter of [60_000, undefined]) {
      const { cache } = makeCache({ refreshAfter });
      await cache.get('1', () => 'old');
      await due();
      expect(await cache.get('1', never)).toBe('old');
      expect(cache.stats.loads).toBe(1);
    }
  });

  it('never serves an entry that was invalidated during the refresh, nor keeps its value', async () => {
    const { cache, say } = makeCache();
    await cache.get('1', () => 'oldest');
    await due();
    const slow = deferred<Row>();
    expect(await cache.get('1', () => slow.promise)).toBe('oldest');
    say(entity('User', 1));
    const fresh = deferred<Row>();
    const read = cache.get('1', () => fresh.promise);
    slow.resolve('old');
    await turn();
    expect(cache.peek('1')).toBeUndefined();
    fresh.resolve('new');
    expect(await read).toBe('new');
    expect(cache.peek('1')).toBe('new');
    expect(cache.stats).toMatchObject({ hits: 1, overtaken: 1 });
  });

  it('never serves an entry whose dependency was invalidated, nor keeps a refresh that it overtook', async () => {
    const { cache, say } = makeCache({}, { dependsOn: entity('Post', 1) });
    await cache.get('1', () => 'oldest');
    await due();
    const slow = deferred<Row>();
    expect(await cache.get('1', () => slow.promise)).toBe('oldest');
    say(entity('Post', 1));
    // The refresh under way may be as old: a read that joins it loads again.
    const read = cache.get('1', () => 'new');
    slow.resolve('old');
    expect(await read).toBe('new');
    expect(cache.peek('1')).toBe('new');
  });

  it('serves nothing old while caches are bypassed', async () => {
    const { cache, source } = makeCache();
    await cache.get('1', () => 'old');
    await due();
    source.bypass = true;
    expect(await cache.get('1', () => 'new')).toBe('new');
  });

  it('forgets an entity that does not exist any more', async () => {
    const { cache } = makeCache();
    await cache.getMany(
      ['1', '2'],
      () =>
        new Map([
          ['1', 'a'],
          ['2', 'b'],
        ]),
    );
    await due();
    expect(await cache.get('1', () => null)).toBe('a');
    expect((await cache.getMany(['2'], () => new Map())).get('2')).toBe('b');
    await turn();
    expect(cache.stats.size).toBe(0);
  });

  it('refreshes entries of getMany() in one load', async () => {
    const { cache } = makeCache();
    const ids = ['1', '2', '3'];
    await cache.getMany(ids, () => new Map(ids.map((id) => [id, 'old'])));
    await due();
    const asked: string[][] = [];
    const load = (all: string[]): Map<string, Row> => {
      asked.push(all);
      return new Map(all.map((id) => [id, 'new']));
    };
    const values = await cache.getMany([...ids, '4'], load);
    expect([...values.values()]).toEqual(['old', 'old', 'old', 'new']);
    expect(asked).toEqual([ids, ['4']]);
    await turn();
    expect(ids.map((id) => cache.peek(id))).toEqual(['new', 'new', 'new']);
  });

  it('keeps the old value when a refresh fails, and reports that', async () => {
    const { cache, failures } = makeCache();
    await cache.get('1', () => 'old');
    await due();
    const failing = new Error('away');
    expect(await cache.get('1', () => Promise.reject(failing))).toBe('old');
    await turn();
    expect(failures).toEqual([failing]);
    expect(cache.peek('1')).toBe('old');
    await due();
    expect(await cache.get('1', () => 'new')).toBe('old');
    await turn();
    expect(cache.peek('1')).toBe('new');
  });

  it('begins no other refresh before that time has passed again', () => {
    const flights = { find: () => null, start: () => new Map() };
    const refresher = new Refresher<Row>(60_000, flights, never);
    const old = performance.now() - 1;
    const entry = new L1Entry<Row>('1', Infinity, 'old', 0, null, old);
    expect(refresher.isDue(entry)).toBe(true);
    expect(refresher.isDue(entry)).toBe(false);
  });

  it('asks the source, and stores the new value in the second tier', async () => {
    const { cache, store } = makeCache({ l2: {} }, { hasTier: true });
    await cache.get('1', () => 'old');
    await eventually(() => expect(store!.of('put')).toHaveLength(1));
    await due();
    expect(await cache.get('1', () => 'new')).toBe('old');
    await eventually(() => expect(cache.peek('1')).toBe('new'));
    expect(store!.of('get')).toHaveLength(1);
    await eventually(() => expect(store!.of('put')).toHaveLength(2));
    expect(cache.stats.l2Hits).toBe(0);
  });

  it('works with @Cached, and logs a loader that fails', async () => {
    class Users {
      rows = ['old'];

      @Cached('User', (id: string) => id, { refreshAfter: 1 })
      async find(_id: string): Promise<string> {
        const row = this.rows.shift();
        if (row === undefined) throw new Error('away');
        return row;
      }
    }
    const logs = new LogRecorder();
    const app = await startApp({ providers: [Users], logger: logs });
    const users = app.context.get(Users);
    expect(await users.find('1')).toBe('old');
    await due();
    expect(await users.find('1')).toBe('old');
    await eventually(() =>
      expect(logs.errors).toContainEqual(
        expect.stringContaining(
          'Users.find could not refresh a value (option refreshAfter), and serves the old one until its ttl ends: away.',
        ),
      ),
    );
    users.rows.push('new');
    await eventually(async () => expect(await users.find('1')).toBe('new'));
    expect(
      app.context.get(NearCacheFactory).stats().get('Users.find'),
    ).toMatchObject({ misses: 1 });
  });
});
