/** Near caches whose loaders read a replica that lags. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  NearCache,
  resolveNearCache,
  type NearCacheOptions,
} from '../../lib/cache/index.js';
import { Dependencies } from '../../lib/cache/dependencies.js';
import {
  batch,
  entity,
  everything,
  pattern,
  type CommitPosition,
  type Invalidation,
} from '../../lib/message/index.js';
import {
  ReplicaMarks,
  Replicas,
  withReadPosition,
} from '../../lib/replica/index.js';
import { deferred, HandSource, turn } from '../cache/setup.js';
import { HandReplica } from './hand-replica.js';

const open: Replicas[] = [];
afterEach(() => {
  for (const replicas of open.splice(0)) replicas.stop();
});

const errors = { report: vi.fn(), log: vi.fn() };

function setUp(
  options: NearCacheOptions<string> = {},
  dependsOn?: (value: string) => Invalidation,
) {
  const source = new HandSource();
  const replica = new HandReplica();
  const replicas = new Replicas(errors as never);
  open.push(replicas);
  const all = { replica, ...options };
  const cache = new NearCache<string>(
    'User',
    resolveNearCache(all),
    source,
    null,
    undefined,
    dependsOn && new Dependencies('test', dependsOn, null, () => {}),
    null,
    undefined,
    new ReplicaMarks(
      replicas.of(all.replica),
      'user:',
      dependsOn !== undefined,
    ),
  );
  const say = (said: Invalidation, at: CommitPosition | null = null): void =>
    cache.apply(source.hear(said, null, { at }));
  const old = vi.fn(async () => 'of the replica');
  const get = (id = '1') => cache.get(id, old);
  const isKept = (id = '1') => cache.peek(id) !== undefined;
  return { source, replica, cache, say, old, get, isKept };
}

/** A cache whose replica has passed the start, and where nothing is marked. */
async function begun(
  options?: NearCacheOptions<string>,
  dependsOn?: (value: string) => Invalidation,
) {
  const made = setUp(options, dependsOn);
  let reads = 0;
  await vi.waitFor(async () => {
    const id = `start ${reads++}`;
    await made.get(id);
    expect(made.old).toHaveBeenCalled();
    expect(made.isKept(id)).toBe(true);
  });
  made.old.mockClear();
  return made;
}

describe('A near cache of a replica', () => {
  it('keeps what is not marked', async () => {
    const { get, old, isKept } = await begun();

    await get();
    await get();

    expect(isKept()).toBe(true);
    expect(old).toHaveBeenCalledOnce();
  });

  it('asks nothing while nothing is marked', async () => {
    const { get, replica } = await begun();
    const { asked } = replica;

    for (let id = 0; id < 50; id++) await get(String(id));

    expect(replica.asked).toEqual(asked);
  });

  it('loads from the primary while this instance may have missed something, since that left no mark', async () => {
    const primary = vi.fn(async () => 'of the primary');
    const { source, get, old, isKept } = await begun({ primary });
    source.bypass = true;
    expect(await get()).toBe('of the primary');
    expect(isKept()).toBe(false);
    source.bypass = false;
    expect(await get()).toBe('of the replica');
    expect(old).toHaveBeenCalledOnce();
    expect(isKept()).toBe(true);
  });

  it('serves what is marked, and does not keep it until the replica has passed the commit', async () => {
    const { say, get, old, isKept, replica, cache } = await begun();
    replica.hold();
    say(entity('User', '1'), { hand: '20' });

    expect(await get()).toBe('of the replica');
    expect(await get()).toBe('of the replica');
    expect(isKept()).toBe(false);
    expect(old).toHaveBeenCalledTimes(2);
    expect(cache.stats.behind).toBeGreaterThanOrEqual(2);

    replica.at('20');
    await replica.wasAsked(2);
    await get();
    expect(isKept()).toBe(false);

    replica.at('21');
    await vi.waitFor(async () => {
      await get();
      expect(isKept()).toBe(true);
    });
  });

  it('loads what is marked from the primary, and keeps that', async () => {
    const primary = vi.fn(async (id: string) => `${id} of the primary`);
    const { say, get, old, isKept, replica, cache } = await begun({ primary });
    replica.hold();
    const { primaryLoads } = cache.stats;
    say(entity('User', '1'), { hand: '20' });

    expect(await get('2')).toBe('of the replica');
    expect(isKept('2')).toBe(true);
    expect(await get()).toBe('1 of the primary');
    expect(await get()).toBe('1 of the primary');

    expect(isKept()).toBe(true);
    expect(old).toHaveBeenCalledOnce();
    expect(cache.stats.primaryLoads).toBe(primaryLoads + 1);
  });

  it('splits a load of many between replica and primary', async () => {
    const primary = vi.fn(async (id: string) => `${id} of the primary`);
    const { say, cache, replica } = await begun({ primary });
    replica.hold();
    say(entity('User', '2'), { hand: '20' });

    const values = await cache.getMany(
      ['1', '2', '3'],
      async (ids) => new Map(ids.map((id) => [id, 'of the replica'])),
    );

    expect([...values]).toEqual(
      expect.arrayContaining([
        ['1', 'of the replica'],
        ['2', '2 of the primary'],
        ['3', 'of the replica'],
      ]),
    );
    expect(values.size).toBe(3);
  });

  it.each([
    ['a pattern', pattern('user:1*')],
    ['everything', everything()],
    ['its type', pattern('user:*')],
  ])('heeds %s', async (_, said) => {
    const { say, get, isKept, replica } = await begun();
    replica.hold();
    say(said, { hand: '20' });

    await get();

    expect(isKept()).toBe(false);
  });

  it('heeds marks of dependencies', async () => {
    const dependsOn = () => entity('Team', '7');
    const primary = vi.fn(async () => 'of the primary');
    const { say, get, isKept, replica } = await begun({}, dependsOn);
    const other = await begun({ primary }, dependsOn);
    for (const one of [replica, other.replica]) one.hold();
    say(entity('Team', '7'), { hand: '20' });
    other.say(entity('Team', '7'), { hand: '20' });

    await get();
    expect(isKept()).toBe(false);
    expect(await other.get()).toBe('of the primary');
    expect(other.isKept()).toBe(true);
  });

  it('does not heed other types', async () => {
    const { say, get, isKept, replica } = await begun();
    replica.hold();
    say(entity('Team', '1'), { hand: '20' });

    await get();

    expect(isKept()).toBe(true);
  });

  it('asks the primary once for all invalidations without a position', async () => {
    const { say, get, isKept, replica } = await begun();
    const { current } = replica.asked;
    replica.hold();
    replica.primary = '30';
    say(entity('User', '1'));
    say(entity('User', '2'), { other: '1' });
    say(entity('User', '3'), { hand: 'no position' });

    await replica.wasAsked(2);
    expect(replica.asked.current).toBe(current + 1);
    for (const id of ['1', '2', '3']) {
      await get(id);
      expect(isKept(id)).toBe(false);
    }

    replica.at('31');
    await vi.waitFor(async () => {
      for (const id of ['1', '2', '3']) {
        await get(id);
        expect(isKept(id)).toBe(true);
      }
    });
  });

  it('asks again for what arrives while the primary is being asked', async () => {
    const { say, get, isKept, replica } = await begun();
    const answer = deferred<string>();
    replica.nextCurrent = answer.promise;
    say(entity('User', '1'));
    await vi.waitFor(() => expect(replica.nextCurrent).toBeNull());
    replica.primary = '50';
    say(entity('User', '1'));
    answer.resolve('2');
    replica.at('40');

    await replica.wasAsked(3);
    await get();
    expect(isKept()).toBe(false);

    replica.at('51');
    await vi.waitFor(async () => {
      await get();
      expect(isKept()).toBe(true);
    });
  });

  it('marks everything at the start, until the replica has passed where the primary was', async () => {
    const { get, isKept, replica } = setUp();
    replica.primary = '10';
    replica.at('10');

    await get();
    await replica.wasAsked(2);
    await get();
    expect(isKept()).toBe(false);

    replica.at('11');
    await vi.waitFor(async () => {
      await get();
      expect(isKept()).toBe(true);
    });
  });

  it('keeps marks while neither server answers', async () => {
    const { say, get, isKept, replica } = await begun();
    replica.fails = true;
    say(entity('User', '1'), { hand: '0' });

    await replica.wasAsked(2);
    await get();
    expect(isKept()).toBe(false);
    expect(errors.report).toHaveBeenCalled();

    replica.fails = false;
    await vi.waitFor(async () => {
      await get();
      expect(isKept()).toBe(true);
    });
  });

  it('does not believe a position that the primary has not reached', async () => {
    const { say, get, isKept, replica } = await begun();
    replica.primary = '90';
    replica.at('91');
    say(entity('User', '1'), { hand: '999999999' });

    await get();
    expect(isKept()).toBe(false);
    await vi.waitFor(
      async () => {
        await get();
        expect(isKept()).toBe(true);
      },
      { timeout: 5_000 },
    );
  });

  it('ends all marks when the replica has become a primary', async () => {
    const { say, get, isKept, replica } = await begun();
    replica.hold();
    say(entity('User', '1'), { hand: '999' });
    await get();
    expect(isKept()).toBe(false);

    replica.at('everything');

    await vi.waitFor(async () => {
      await get();
      expect(isKept()).toBe(true);
    });
  });

  it('does not keep what a load brings across a new connection', async () => {
    const { cache, replica, isKept } = await begun();
    replica.hold();
    replica.primary = '70';
    const loading = deferred<string>();
    const reading = cache.get('1', () => loading.promise);
    await turn();

    replica.connect();
    loading.resolve('of the server that came back');
    await reading;

    expect(isKept()).toBe(false);
    replica.at('71');
    await vi.waitFor(async () => {
      await cache.get('1', async () => 'new');
      expect(isKept()).toBe(true);
    });
  });

  it('marks everything when a replica has gone back', async () => {
    const { say, get, isKept, replica } = await begun();
    replica.at('40');
    say(entity('User', '1'), { hand: '1' });
    await vi.waitFor(async () => {
      await get();
      expect(isKept()).toBe(true);
    });
    replica.primary = '45';
    replica.at('30');
    say(entity('User', '1'), { hand: '1' });
    await replica.wasAsked(1);

    await get('2');
    expect(isKept('2')).toBe(false);

    replica.at('46');
    await vi.waitFor(async () => {
      await get('2');
      expect(isKept('2')).toBe(true);
    });
  });

  it('lets no read join a load that began behind, once the replica has passed', async () => {
    const { say, cache, replica } = await begun();
    replica.hold();
    say(batch(['user:1', 'user:2']), { hand: '20' });
    const slow = deferred<string>();
    const first = cache.get('1', () => slow.promise);
    replica.at('21');
    await vi.waitFor(async () => {
      await cache.get('2', async () => 'other');
      expect(cache.peek('2')).toBe('other');
    });
    expect(await cache.get('1', async () => 'new')).toBe('new');
    slow.resolve('old');

    expect(await first).toBe('old');
    expect(cache.peek('1')).toBe('new');
  });

  it('without a question for the primary keeps nothing that has no position', async () => {
    const replica = new HandReplica();
    const twoFunctions = {
      applied: () => replica.applied(),
      isBefore: (one: string, other: string) => replica.isBefore(one, other),
    };
    const { say, get, isKept } = setUp({ replica: twoFunctions });
    await get('other');
    expect(isKept('other')).toBe(true);
    expect(errors.log).toHaveBeenCalled();
    say(entity('User', '1'));
    say(entity('User', '2'), { hand: '0' });

    await vi.waitFor(async () => {
      await get('2');
      expect(isKept('2')).toBe(true);
    });
    await get();
    expect(isKept()).toBe(false);
  });
});

describe('A near cache of a replica, read in a request with a position', () => {
  /** Runs a read in a request whose client has seen this position. */
  const seen = <T>(hand: string, work: () => T, ms = 60_000): T => {
    const until = performance.now() + ms;
    return withReadPosition({ at: { hand }, until }, work);
  };
  const many = async (ids: string[]) =>
    new Map(ids.map((id) => [id, `${id} of the replica`]));

  it('waits until the replica has passed it, and keeps what it loads then', async () => {
    const { get, old, isKept, replica } = await begun();
    replica.at('20');
    const reading = seen('20', () => get());
    await replica.wasAsked(3);
    expect(old).not.toHaveBeenCalled();

    replica.at('21');

    expect(await reading).toBe('of the replica');
    expect(isKept()).toBe(true);
    expect(old).toHaveBeenCalledOnce();
  });

  it('asks nothing more once the replica has passed it', async () => {
    const { get, replica, old } = await begun();
    replica.at('21');
    await seen('20', () => get());
    const { applied } = replica.asked;

    for (let id = 2; id < 50; id++) await seen('20', () => get(String(id)));

    expect(old).toHaveBeenCalledTimes(49);
    expect(replica.asked.applied).toBe(applied);
  });

  it('waits for what a read of many has to load, and for nothing else', async () => {
    const { cache, get, replica } = await begun();
    await get('1');
    await get('2');
    replica.at('20');
    expect(await seen('20', () => get('1'))).toBe('of the replica');
    const kept = seen('20', () => cache.getMany(['1', '2'], many));
    expect((await kept).size).toBe(2);
    const load = vi.fn(many);
    const reading = seen('20', () => cache.getMany(['1', '3'], load));
    await replica.wasAsked(3);
    expect(load).not.toHaveBeenCalled();

    replica.at('21');

    expect((await reading).get('3')).toBe('3 of the replica');
    expect(load).toHaveBeenCalledExactlyOnceWith(['3']);
  });

  it('loads everything from the primary if it can', async () => {
    const primary = vi.fn(async (id: string) => `${id} of the primary`);
    const { get, cache, old, isKept, replica } = await begun({ primary });
    replica.at('20');

    expect(await seen('20', () => get())).toBe('1 of the primary');
    const values = await seen('20', () => cache.getMany(['1', '2'], many));
    expect(values.get('2')).toBe('2 of the primary');
    expect(isKept()).toBe(true);
    expect(old).not.toHaveBeenCalled();
    expect(await get('3')).toBe('of the replica');
  });

  it('joins no load that began behind it, and lets others join its own', async () => {
    const slow = deferred<string>();
    const primary = vi.fn(() => slow.promise);
    for (const options of [{}, { primary }]) {
      const { cache, replica } = await begun(options);
      primary.mockClear();
      replica.at('20');
      const behind = deferred<string>();
      const first = cache.get('1', () => behind.promise);
      const load = vi.fn(async () => 'new');
      const reading = seen('20', () => cache.get('1', load));
      await turn();
      const joined = seen('20', () => cache.get('1', load));
      replica.at('21');
      slow.resolve('new');

      expect(await reading).toBe('new');
      expect(await joined).toBe('new');
      behind.resolve('old');
      expect(await first).toBe('old');
      expect(load.mock.calls.length + primary.mock.calls.length).toBe(1);
    }
  });

  it('shares one load after the wait of many readers', async () => {
    const { get, old, replica } = await begun();
    replica.at('20');
    const readings = Array.from({ length: 20 }, () => seen('20', () => get()));
    await replica.wasAsked(2);
    replica.at('21');
    await Promise.all(readings);
    expect(old).toHaveBeenCalledOnce();
  });

  it('waits no longer than the request may, and leaves nothing behind', async () => {
    const { get, old, replica } = await begun();
    const begin = performance.now();

    const value = await seen('99999999', () => get(), 200);

    expect(value).toBe('of the replica');
    expect(old).toHaveBeenCalledOnce();
    expect(performance.now() - begin).toBeGreaterThanOrEqual(199);
    const { asked } = replica;
    const before = { ...asked };
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(asked.current).toBe(before.current);
    expect(asked.applied - before.applied).toBeLessThanOrEqual(1);
  });

  it('asks again after a new connection, which may lead to another server', async () => {
    const { get, replica } = await begun();
    replica.at('21');
    await seen('20', () => get('1'));
    const { applied } = replica.asked;
    replica.connect();

    await seen('20', () => get('2'));

    expect(replica.asked.applied).toBeGreaterThan(applied);
  });

  it.each(['no position', ''])(
    'takes no notice of one that cannot be read: %j',
    async (hand) => {
      const { get, old } = await begun();
      await seen(hand, () => get());
      expect(old).toHaveBeenCalledOnce();
    },
  );

  it('waits until its time is over where the replica does not answer', async () => {
    const { get, replica } = await begun();
    replica.fails = true;
    expect(await seen('20', () => get(), 100)).toBe('of the replica');
  });
});
