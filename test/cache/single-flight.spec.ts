import { setTimeout as delay } from 'node:timers/promises';
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import {
  NearCache,
  resolveNearCache,
  type NearCacheOptions,
} from '../../lib/cache/index.js';
import { LoadGate } from '../../lib/cache/near/load-gate.js';
import { CLAIM_TIMES, LoadClaims } from '../../lib/cache/shared/load-claims.js';
import { L2Commands } from '../../lib/cache/shared/l2-commands.js';
import { entity } from '../../lib/message/index.js';
import { connectRaw, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import {
  deferred,
  HandSource,
  makeTier,
  RecordingStore,
  turn,
} from './setup.js';

type Row = string | null;

const CLAIM = 'near:~load:user:1';
const never = (): never => expect.unreachable();

/** Instances of a service that share a second tier. */
class Service {
  readonly stored = new Map<string, Buffer>();

  constructor(private readonly options: NearCacheOptions<Row> = {}) {}

  /** An instance that is at offset 5-0. */
  start() {
    const source = new HandSource();
    const store = new RecordingStore(this.stored);
    const l2 = { singleFlight: true };
    const { tier } = makeTier<Row>(source, l2, { store });
    const resolved = resolveNearCache<Row>({ l2, ...this.options });
    const cache = new NearCache<Row>(
      'User',
      resolved,
      source,
      tier,
      undefined,
      null,
      resolved.load && new LoadGate('Users', resolved.load),
    );
    return { source, store, cache };
  }

  /** An instance with a load under way, which ends when the test says so. */
  async startLoading() {
    const loading = deferred<Row>();
    const started = this.start();
    const read = started.cache.get('1', () => loading.promise);
    read.catch(() => undefined);
    await hasBegun(started.cache);
    return { ...started, loading, read };
  }
}

/** Waits until a cache has begun its first load. */
async function hasBegun(cache: NearCache<Row>): Promise<void> {
  await eventually(() => expect(cache.stats.loads).toBe(1));
}

/** How often an instance has looked whether a claim has ended. */
function looksOf({ calls }: RecordingStore): number {
  return calls.filter((call) => call === `get ${CLAIM}`).length;
}

/** Waits until an instance waits for another one. */
async function waits(store: RecordingStore): Promise<void> {
  await eventually(() => expect(looksOf(store)).toBeGreaterThan(2));
}

describe('Second tier: singleFlight', () => {
  it('lets one instance load, and the others read its value', async () => {
    const service = new Service();
    const loader = await service.startLoading();
    const others = [service.start(), service.start()];
    const reads = others.map(({ cache }) => cache.get('1', never));
    await Promise.all(others.map(({ store }) => waits(store)));
    loader.loading.resolve('row');
    expect(await Promise.all([loader.read, ...reads])).toEqual([
      'row',
      'row',
      'row',
    ]);
    for (const { cache } of others) {
      expect(cache.peek('1')).toBe('row');
      expect(cache.stats).toMatchObject({ loads: 0, l2Hits: 1 });
    }
    await eventually(() => expect(service.stored.has(CLAIM)).toBe(false));
  });

  it('serves nothing that was loaded before an invalidation which came during the wait', async () => {
    const service = new Service();
    const loader = await service.startLoading();
    const { cache, source, store } = service.start();
    const read = cache.get('1', () => 'new');
    await waits(store);
    // The loader has not received it, and stores the old row.
    cache.apply(source.hear(entity('User', 1), '6-0'));
    loader.loading.resolve('old');
    expect(await loader.read).toBe('old');
    expect(await read).toBe('new');
    expect(cache.peek('1')).toBe('new');
    await eventually(() =>
      expect(String(service.stored.get('near:user:1'))).toBe('6-0\nv"new"'),
    );
  });

  it('does not wait for a load that an invalidation has overtaken', async () => {
    const service = new Service();
    const loader = await service.startLoading();
    const { cache, source, store } = service.start();
    source.hear(entity('User', 1), '6-0');
    // The load still hangs.
    expect(await cache.get('1', () => 'new')).toBe('new');
    expect(looksOf(store)).toBe(0);
    loader.loading.resolve('old');
    expect(await loader.read).toBe('old');
    // Its claim was replaced: it ends no other one.
    const later = service.start();
    later.source.hear(entity('User', 1), '6-0');
    expect(await later.cache.get('1', never)).toBe('new');
  });

  it('stops waiting for a load as soon as an invalidation overtakes it', async () => {
    const service = new Service();
    const loader = await service.startLoading();
    const { cache, source, store } = service.start();
    const read = cache.get('1', () => 'new');
    await waits(store);
    const looks = looksOf(store);
    cache.apply(source.hear(entity('User', 1), '6-0'));
    expect(await read).toBe('new');
    expect(looksOf(store)).toBeLessThanOrEqual(looks + 1);
    loader.loading.resolve('old');
    expect(await loader.read).toBe('old');
  });

  it('waits for a load of an instance that has received more', async () => {
    const service = new Service();
    const ahead = service.start();
    ahead.source.hear(entity('Post', 1), '6-0');
    const loading = deferred<Row>();
    const first = ahead.cache.get('1', () => loading.promise);
    await eventually(() => expect(ahead.cache.stats.loads).toBe(1));
    const { cache, source, store } = service.start();
    const read = cache.get('1', never);
    await waits(store);
    source.hear(entity('Post', 1), '6-0');
    loading.resolve('row');
    expect(await Promise.all([first, read])).toEqual(['row', 'row']);
  });

  it('takes over from an instance that has died, which one of the others does', async () => {
    const service = new Service();
    const loader = service.start();
    await loader.store.swap(CLAIM, '', '5-0 dead', 100);
    const others = [service.start(), service.start(), service.start()];
    let loads = 0;
    const reads = others.map(({ cache }) =>
      cache.get('1', async () => {
        loads++;
        await turn();
        return 'row';
      }),
    );
    expect(await Promise.all(reads)).toEqual(['row', 'row', 'row']);
    expect(loads).toBe(1);
  });

  it.each<
    [
      string,
      (loading: {
        resolve(row: Row): void;
        reject(error: unknown): void;
      }) => void,
    ]
  >([
    ['does not exist', ({ resolve }) => resolve(null)],
    ['could not be loaded', ({ reject }) => reject(new Error('away'))],
  ])('loads at once, and everywhere, what %s', async (_, end) => {
    const service = new Service();
    const loader = await service.startLoading();
    const others = [service.start(), service.start()];
    const slow = others.map(() => deferred<Row>());
    const reads = others.map(({ cache }, at) =>
      cache.get('1', () => slow[at]!.promise),
    );
    await Promise.all(others.map(({ store }) => waits(store)));
    end(loader.loading);
    // Both load now, though neither load has ended.
    await eventually(() =>
      expect(others.map(({ cache }) => cache.stats.loads)).toEqual([1, 1]),
    );
    for (const { resolve } of slow) resolve('row');
    expect(await Promise.all(reads)).toEqual(['row', 'row']);
  });

  it('reads the tier once more when it has claimed a load', async () => {
    const service = new Service();
    const { cache, store } = service.start();
    const swap = store.swap.bind(store);
    store.swap = async (...args) => {
      // Another instance ends its load after this one has read the tier.
      service.stored.set('near:user:1', Buffer.from('5-0\nv"row"'));
      store.swap = swap;
      return swap(...args);
    };
    expect(await cache.get('1', never)).toBe('row');
  });

  it('getMany() loads what nobody has claimed, and waits for the rest', async () => {
    const service = new Service();
    const loader = await service.startLoading();
    const { cache, store } = service.start();
    const asked: string[][] = [];
    const many = cache.getMany(['1', '2', '3'], (ids) => {
      asked.push(ids);
      return new Map(ids.map((id) => [id, `row ${id}`]));
    });
    await waits(store);
    loader.loading.resolve('row');
    expect([...(await many).values()]).toEqual(['row', 'row 2', 'row 3']);
    expect(asked).toEqual([['2', '3']]);
  });

  it('takes no turn while it waits', async () => {
    const service = new Service({ load: { concurrency: 1 } });
    const loader = await service.startLoading();
    const { cache, store } = service.start();
    const waiting = cache.get('1', never);
    await waits(store);
    expect(await cache.get('2', () => 'other')).toBe('other');
    loader.loading.resolve('row');
    expect(await waiting).toBe('row');
  });

  it('waits for no claim of its own instance, whose load may wait for it', async () => {
    const { cache, source, store } = new Service().start();
    const loading = deferred<void>();
    const nested = cache.get('1', async () => {
      await loading.promise;
      return `of ${await cache.get('2', never)}`;
    });
    await eventually(() => expect(store.calls.join()).toContain('swap'));
    // A read of another time replaces the load.
    source.bypass = true;
    expect(await cache.get('1', () => 'past the cache')).toBe('past the cache');
    source.bypass = false;
    const began = performance.now();
    const many = cache.getMany(
      ['1', '2'],
      (ids) => new Map(ids.map((id) => [id, `row ${id}`])),
    );
    loading.resolve();
    expect(await nested).toBe('of row 2');
    expect([...(await many).values()]).toEqual(['row 1', 'row 2']);
    expect(performance.now() - began).toBeLessThan(CLAIM_TIMES.wait / 2);
  });

  it('claims nothing while the position is not known, and loads if Redis fails', async () => {
    const { cache, source, store } = new Service().start();
    source.position = null;
    expect(await cache.get('1', () => 'a')).toBe('a');
    expect(store.calls.filter((call) => call.startsWith('swap'))).toEqual([]);
    source.position = '5-0';
    store.swap = () => Promise.reject(new Error('away'));
    expect(await cache.get('2', () => 'b')).toBe('b');
  });
});

describe('LoadClaims', () => {
  function makeClaims(times: Partial<typeof CLAIM_TIMES>) {
    const store = new RecordingStore();
    const source = new HandSource();
    source.trackPositions();
    const commands = new L2Commands(
      'near:',
      store,
      250,
      () => Promise.resolve(),
      never,
    );
    const all = { ...CLAIM_TIMES, ...times };
    return { store, claims: new LoadClaims(commands, source, () => true, all) };
  }

  it('renews a claim as long as its load takes', async () => {
    const { claims, store } = makeClaims({ lease: 60 });
    const claim = await claims.take('user:1');
    const { key, text } = claim as { key: string; text: string };
    const endRenewal = claims.renew([{ key, text }]);
    const renewals = () =>
      store.calls.filter((call) => call === `swap ${CLAIM} ${text}`);
    // Five times a third of the lease: without renewals it would have ended.
    await eventually(() => expect(renewals().length).toBeGreaterThan(5));
    expect(String(store.stored.get(CLAIM))).toBe(text);
    endRenewal();
    await eventually(() => expect(store.stored.has(CLAIM)).toBe(false));
  });

  it('waits no longer than it may', async () => {
    const { claims } = makeClaims({ wait: 30, lease: 60_000 });
    const { text } = (await claims.take('user:1')) as { text: string };
    const { deadline } = claims;
    await claims.whenEnded('user:1', text, deadline);
    expect(performance.now()).toBeGreaterThanOrEqual(deadline - 1);
    // Nor does a read whose time has passed look again.
    await claims.whenEnded('user:1', text, deadline);
  });
});

describe('Second tier: singleFlight on Redis', () => {
  it('loads although bytes that are no text are in the place of the claim', async () => {
    const channel = uniqueChannel();
    const { context, publisher } = await startApp({ channel, quiet: true });
    await publisher.invalidateAll();
    const keyPrefix = `near:${channel}:`;
    const cache = context.get(NearCacheFactory).create<string>('User', {
      l2: { keyPrefix, singleFlight: true },
    });
    const bytes = Buffer.from([0xff, 0xfe]);
    await connectRaw().set(`${keyPrefix}~load:user:1`, bytes);
    expect(await cache.get('1', () => 'row')).toBe('row');
  });

  async function startInstances(count: number) {
    const channel = uniqueChannel();
    const loads = new Map<string, number>();
    const instances = await Promise.all(
      Array.from({ length: count }, async () => {
        const app = await startApp({ channel, quiet: true });
        const cache = app.context.get(NearCacheFactory).create<string>('User', {
          l2: { keyPrefix: `near:${channel}:`, singleFlight: true },
        });
        return { ...app, cache };
      }),
    );
    const read = (cache: NearCache<string>, id: string): Promise<string> =>
      cache.get(id, async () => {
        loads.set(id, (loads.get(id) ?? 0) + 1);
        await delay(20);
        return `row ${id}`;
      });
    return { instances, loads, read };
  }

  it('loads each entity once for all instances after "everything"', async () => {
    const { instances, loads, read } = await startInstances(4);
    const { offset } = await instances[0]!.publisher.invalidateAll();
    await Promise.all(
      instances.map(({ subscriber }) => subscriber.caughtUp(offset!)),
    );
    const ids = Array.from({ length: 20 }, (_, id) => String(id));
    const values = await Promise.all(
      instances.flatMap(({ cache }) => ids.map((id) => read(cache, id))),
    );
    expect(values).toEqual(
      instances.flatMap(() => ids.map((id) => `row ${id}`)),
    );
    expect([...loads.values()]).toEqual(ids.map(() => 1));
  });
});
