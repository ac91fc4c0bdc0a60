import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Cluster } from 'ioredis';
import {
  entity,
  NearCache,
  NearCacheFactory,
  type L2Options,
  type NearCacheOptions,
} from 'nestjs-cache-invalidation';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { PublishPipeline } from '../../lib/publisher/index.js';
import { PositionTracker } from '../../lib/subscriber/index.js';
import { InvalidationStream } from '../../lib/stream/index.js';
import { RedisTransport } from '../../lib/transport/index.js';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type AppOptions,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { startCluster } from '../support/redis.topologies.js';

interface User {
  readonly name: string;
}

interface Node extends TestApp {
  readonly users: NearCache<User | null>;
  /** Number of loads from the database by this instance. */
  readonly loads: () => number;
  read(id: string): Promise<User | null>;
}

/** A service with several instances, a table, and its entries in Redis. */
class Service {
  readonly channel = uniqueChannel();
  readonly keyPrefix = `near:${this.channel}:`;
  readonly table = new Map<string, User>();
  readonly redis = connectRaw();

  constructor(
    private readonly l2: L2Options<User | null> = {},
    private readonly options: NearCacheOptions<User | null> = {},
  ) {}

  async start(app: AppOptions = {}): Promise<Node> {
    const options = {
      ...this.options,
      l2: { keyPrefix: this.keyPrefix, ...this.l2 },
    };
    const provider = {
      provide: NearCache,
      inject: [NearCacheFactory],
      useFactory: (caches: NearCacheFactory) => caches.create('User', options),
    };
    const { channel } = this;
    const started = await startApp({ channel, providers: [provider], ...app });
    const users = started.context.get<NearCache<User | null>>(NearCache);
    const node: Node = {
      ...started,
      users,
      loads: () => users.stats.loads,
      read: (id) => users.get(id, async () => this.table.get(id) ?? null),
    };
    return node;
  }

  /** The entry as it is stored in Redis. */
  async stored(id: string): Promise<string | null> {
    const entry = await this.redis.get(`${this.keyPrefix}user:${id}`);
    return entry === null ? null : entry.slice(entry.indexOf('\n') + 1);
  }

  async whenStored(id: string): Promise<void> {
    await eventually(async () => {
      if ((await this.stored(id)) === null) throw new Error('Not stored.');
    });
  }

  async keys(): Promise<string[]> {
    const keys = await this.redis.keys(`${this.keyPrefix}user:*`);
    return keys.map((key) => key.slice(this.keyPrefix.length)).toSorted();
  }
}

/**
 * Publishes a message, so that the journal has an offset as position, and waits
 * for all instances.
 */
async function settle(...nodes: Node[]): Promise<void> {
  const { offset } = await nodes[0]!.publisher.invalidate('Post', 'start');
  for (const { subscriber } of nodes) await subscriber.caughtUp(offset!);
}

describe('Second tier', () => {
  it('saves other instances the load, and serves nothing stale', async () => {
    const service = new Service();
    const one = await service.start();
    const other = await service.start();
    await settle(one, other);
    service.table.set('1', { name: 'Ada' });

    expect(await one.read('1')).toEqual({ name: 'Ada' });
    await service.whenStored('1');
    expect(await other.read('1')).toEqual({ name: 'Ada' });
    expect(await other.read('1')).toEqual({ name: 'Ada' });
    expect([one.loads(), other.loads()]).toEqual([1, 0]);
    expect(other.users.stats).toMatchObject({ hits: 1, l2Hits: 1 });

    service.table.set('1', { name: 'Grace' });
    const { offset } = await one.publisher.invalidate('User', 1);
    await other.subscriber.caughtUp(offset!);
    expect(await other.read('1')).toEqual({ name: 'Grace' });
    expect(await one.read('1')).toEqual({ name: 'Grace' });
    for (const { users } of [one, other]) {
      expect(users.stats.l2Errors).toBe(0);
    }
  });

  it('serves the first reads of a cache created while the application runs', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    await one.users.get('1', () => ({ name: 'Ada' }));
    await service.whenStored('1');
    const { channel, keyPrefix } = service;
    const late = await startApp({ channel });
    const users = late.context
      .get(NearCacheFactory)
      .create<User>('User', { l2: { keyPrefix, timeout: 5_000 } });
    const reads = ['1', '1', '2'].map((id) =>
      users.get(id, () => ({ name: 'loaded' })),
    );
    const names = (await Promise.all(reads)).map(({ name }) => name);
    expect(names).toEqual(['Ada', 'Ada', 'loaded']);
    await service.whenStored('2');
    expect(users.stats).toMatchObject({ loads: 1, l2Hits: 1, l2Errors: 0 });
  });

  it('removes the entries of exact keys immediately', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    await one.read('1');
    await one.read('2');
    service.table.set('2', { name: 'Ada' });
    await one.users.get('3', () => ({ name: 'Grace' }));
    await service.whenStored('3');
    await one.publisher.invalidateBatch(['user:3', 'post:1']);
    await eventually(async () => expect(await service.keys()).toEqual([]));
  });

  it('serves an instance that starts later, which refuses entries from before an invalidation', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    for (const id of ['1', '2']) {
      service.table.set(id, { name: `old ${id}` });
      await one.read(id);
      await service.whenStored(id);
    }
    // An entry from before the update, which no instance deletes.
    const old = await service.redis.getBuffer(`${service.keyPrefix}user:1`);
    service.table.set('1', { name: 'new 1' });
    await one.publisher.invalidate('User', 1);
    await eventually(async () => expect(await service.stored('1')).toBeNull());
    await service.redis.set(`${service.keyPrefix}user:1`, old!);

    const late = await service.start();
    expect(await late.read('2')).toEqual({ name: 'old 2' });
    expect(await late.read('1')).toEqual({ name: 'new 1' });
    expect(late.users.stats).toMatchObject({ l2Hits: 1, l2Refused: 1 });
  });

  it('refuses older entries in a later instance after a message without a journal', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    service.table.set('1', { name: 'Ada' });
    await one.read('1');
    await service.whenStored('1');
    // A message of a service in another language, which is in no journal.
    await service.redis.publish(service.channel, foreign('User', '2'));
    const mark = `${service.keyPrefix}~foreign:user:`;
    await eventually(async () => {
      expect(await service.redis.exists(mark)).toBe(1);
    });

    const late = await service.start();
    await late.read('1');
    expect(late.users.stats).toMatchObject({ l2Hits: 0, l2Refused: 1 });
    // An entry that this instance loads serves the next instance, and all that
    // are as far in the journal.
    const { offset } = await one.publisher.invalidate('User', 3);
    await late.subscriber.caughtUp(offset!);
    service.table.set('3', { name: 'Grace' });
    await late.read('3');
    await service.whenStored('3');
    await one.read('3');
    expect(one.users.stats.l2Hits).toBe(1);
  });

  it('writes a mark for a message without a journal that cannot be understood', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    const said = foreign('User', '2').replace('"Delete"', '"Refresh"');
    await service.redis.publish(service.channel, said);
    await eventually(async () => {
      const mark = `${service.keyPrefix}~foreign:user:`;
      expect(await service.redis.exists(mark)).toBe(1);
    });
  });

  it('writes a mark for a message without a journal received before the cache was created', async () => {
    const service = new Service();
    const { keyPrefix } = service;
    const one = await service.start();
    await settle(one);
    service.table.set('1', { name: 'old' });
    await one.read('1');
    await service.whenStored('1');
    await one.close();

    // The next version of the service creates its caches on first use.
    const serviceName = `late ${service.channel}`;
    const app = { channel: service.channel, serviceName };
    const early = await startApp(app);
    service.table.set('1', { name: 'new' });
    await service.redis.publish(service.channel, foreign('User', '1'));
    const [name, on] = [serviceName, service.channel].map(encodeURIComponent);
    const mark = `near:${name}~foreign:${on}`;
    await eventually(async () => {
      expect(await service.redis.exists(mark)).toBe(1);
    });

    const late = await startApp(app);
    const [users, others] = [late, early].map(({ context }) =>
      context
        .get(NearCacheFactory)
        .create<User>('User', { l2: { keyPrefix, ttl: 60_000 } }),
    );
    const load = (): User => service.table.get('1')!;
    expect(await users!.get('1', load)).toEqual({ name: 'new' });
    expect(users!.stats.l2Hits).toBe(0);
    // The instance that received the message writes the mark for tiers that are
    // created later.
    await eventually(async () => {
      const marks = await service.redis.exists(`${keyPrefix}~foreign:user:`);
      expect(marks).toBe(1);
    });
    expect(await others!.get('1', load)).toEqual({ name: 'new' });
  });

  it('treats a message with an invalid offset as one without a journal', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    service.table.set('2', { name: 'Ada' });
    await one.read('2');
    await service.whenStored('2');
    const said = JSON.parse(foreign('User', '2')) as object;
    const message = JSON.stringify({ ...said, offset: 'partition 3' });
    await service.redis.publish(service.channel, message);
    await eventually(async () => {
      const mark = `${service.keyPrefix}~foreign:user:`;
      expect(await service.redis.exists(mark)).toBe(1);
      expect(await service.stored('2')).toBeNull();
    });
    expect(one.users.stats.l2Errors).toBe(0);
  });

  it('treats own messages from before a late creation as not applied yet', async () => {
    const service = new Service();
    const { channel, keyPrefix } = service;
    const one = await service.start();
    const other = await startApp({ channel });
    const first = await one.publisher.invalidate('Post', 'start');
    const { offset } = await one.publisher.invalidate('Post', 'start');
    await other.subscriber.caughtUp(offset!);
    service.table.set('1', { name: 'old' });
    await one.read('1');
    await service.whenStored('1');
    const old = await service.redis.getBuffer(`${keyPrefix}user:1`);

    service.table.set('1', { name: 'new' });
    void other.context
      .get(PublishPipeline, { strict: false })
      .publish(() => entity('User', 1), { wait: false });
    const users = other.context
      .get(NearCacheFactory)
      .create<User>('User', { l2: { keyPrefix } });
    const last = await other.publisher.invalidate('Post', 'end');
    await one.subscriber.caughtUp(last.offset!);
    await other.subscriber.caughtUp(last.offset!);
    const { fences } = other.context.get(InvalidationStream);
    await eventually(() => {
      const recalled = fences.takenAt(first.offset!);
      expect(recalled).not.toBeNull();
    });
    // An entry from before the change, which no instance deletes: its offset
    // shows its age.
    await service.redis.set(`${keyPrefix}user:1`, old!);
    const load = (): User => service.table.get('1')!;
    expect(await users.get('1', load)).toEqual({ name: 'new' });
  });

  it.each([
    ['no entry at all', () => 'PWNED'],
    ['an entry without a line feed', (at: string) => at],
    ['an entry of an unknown kind', (at: string) => `${at}\nx{"name":"evil"}`],
    ['an offset that does not fit', () => '99999999999999999999-0\nv{}'],
    [
      "an offset beyond the journal's end",
      () => '99999999999999-0\nv{"name":"evil"}',
    ],
    [
      'the last offset of all',
      () => '18446744073709551615-18446744073709551615\nv{"name":"evil"}',
    ],
  ])('refuses and removes %s', async (_, entry) => {
    const service = new Service({}, { ttl: 1 });
    const one = await service.start();
    await settle(one);
    const { offset } = await one.publisher.invalidate('Post', 'next');
    service.table.set('1', { name: 'Ada' });
    const key = `${service.keyPrefix}user:1`;
    await service.redis.set(key, entry(offset!));
    // A loaded value would not replace an entry with a later offset.
    await eventually(async () => {
      expect(await one.read('1')).toEqual({ name: 'Ada' });
      expect(await service.stored('1')).toBe('v{"name":"Ada"}');
    });
    expect(one.users.stats.l2Refused).toBeGreaterThan(0);
  });

  it('renews the mark of a message without a journal when it stores an entry', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    await service.redis.publish(service.channel, foreign('User', '2'));
    const mark = `${service.keyPrefix}~foreign:user:`;
    await eventually(async () => {
      expect(await service.redis.exists(mark)).toBe(1);
    });
    await service.redis.del(mark);
    service.table.set('1', { name: 'Ada' });
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 60_000);
    await one.read('1');
    vi.restoreAllMocks();
    await eventually(async () => {
      expect(await service.redis.exists(mark)).toBe(1);
    });
  });

  it('refuses an entry loaded before a message without an offset', async () => {
    const service = new Service();
    const one = await service.start();
    const other = await service.start();
    await settle(one, other);
    service.table.set('1', { name: 'old' });
    await one.read('1');
    await service.whenStored('1');
    const old = await service.redis.getBuffer(`${service.keyPrefix}user:1`);
    service.table.set('1', { name: 'new' });
    await service.redis.publish(service.channel, foreign('User', '1'));
    await eventually(() => expect(other.messages).toHaveLength(2));
    await service.redis.set(`${service.keyPrefix}user:1`, old!);
    expect(await other.read('1')).toEqual({ name: 'new' });
  });

  it('removes only the entries that a pattern matches', async () => {
    const service = new Service();
    const nodes = [await service.start(), await service.start()];
    const [one] = nodes as [Node];
    await settle(...nodes);
    for (const id of ['1', '12', '2']) {
      service.table.set(id, { name: id });
      await one.read(id);
      await service.whenStored(id);
    }
    await one.publisher.invalidatePattern('post:*');
    await one.publisher.invalidatePattern('*:1*');
    await eventually(async () => {
      expect(await service.keys()).toEqual(['user:2']);
    });
    await one.publisher.invalidateAll();
    // Instances that were not the first check again after five seconds.
    await eventually(async () => expect(await service.keys()).toEqual([]), {
      timeout: 15_000,
    });
  }, 20_000);

  it('keeps an entry loaded after the pattern', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    const { offset } = await one.publisher.invalidatePattern('user:*');
    await one.subscriber.caughtUp(offset!);
    service.table.set('1', { name: 'Ada' });
    await one.read('1');
    await service.whenStored('1');
    const swept = `${service.keyPrefix}~swept:user:`;
    await eventually(async () => {
      expect(await service.redis.exists(swept)).toBe(1);
    });
    expect(await service.keys()).toEqual(['user:1']);
  });

  it('stores null only with negativeTtl', async () => {
    const service = new Service({}, { negativeTtl: 60_000 });
    const [one, other] = [await service.start(), await service.start()];
    await settle(one, other);
    expect(await one.read('1')).toBeNull();
    await service.whenStored('1');
    expect(await other.read('1')).toBeNull();
    expect(other.loads()).toBe(0);
  });

  it('getMany() loads only what is not stored', async () => {
    const service = new Service();
    const [one, other] = [await service.start(), await service.start()];
    await settle(one, other);
    service.table.set('1', { name: 'Ada' });
    await one.read('1');
    await service.whenStored('1');
    const asked: string[][] = [];
    const many = await other.users.getMany(['1', '2'], (ids) => {
      asked.push(ids);
      return new Map([['2', { name: 'Grace' }]]);
    });
    expect(asked).toEqual([['2']]);
    expect([...many.values()].map((user) => user?.name)).toEqual([
      'Ada',
      'Grace',
    ]);
    await service.whenStored('2');
  });

  it('getMany() fails only the reads of missing entries when its loader fails', async () => {
    const service = new Service();
    const [one, other] = [await service.start(), await service.start()];
    await settle(one, other);
    service.table.set('1', { name: 'Ada' });
    await one.read('1');
    await service.whenStored('1');
    const many = other.users.getMany(['1', '2'], () =>
      Promise.reject(new Error('of the loader')),
    );
    const single = other.read('1');
    await expect(many).rejects.toThrow('of the loader');
    expect(await single).toEqual({ name: 'Ada' });
    expect(other.users.peek('1')).toEqual({ name: 'Ada' });
  });

  it('loads instead when a serializer returns promises', async () => {
    const failing = async (): Promise<never> => {
      throw new Error('of the serializer');
    };
    const service = new Service({
      serializer: { serialize: JSON.stringify, deserialize: failing as never },
    });
    const one = await service.start();
    const other = await service.start();
    await settle(one, other);
    service.table.set('1', { name: 'Ada' });
    await one.read('1');
    await service.whenStored('1');
    expect(await other.read('1')).toEqual({ name: 'Ada' });
    expect(await other.read('1')).toEqual({ name: 'Ada' });
    expect(other.users.stats).toMatchObject({ loads: 1, l2Errors: 1 });

    const unwritten = new Service({
      serializer: {
        serialize: failing as never,
        deserialize: failing as never,
      },
    });
    const writer = await unwritten.start();
    await settle(writer);
    unwritten.table.set('1', { name: 'Ada' });
    expect(await writer.read('1')).toEqual({ name: 'Ada' });
    expect(writer.users.stats).toMatchObject({ loads: 1, l2Errors: 1 });
  });

  it('opens no connection for a cache created after the shutdown', async () => {
    const { context, close } = await startApp();
    const factory = context.get(NearCacheFactory);
    await close();
    const clients = vi.spyOn(RedisTransport.prototype, 'l2Store');
    const users = factory.create<string>('User', { l2: {} });
    expect(await users.get('1', () => 'Ada')).toBe('Ada');
    expect(clients).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it('uses the serializer, connection and ttl of its options', async () => {
    const serializer = {
      serialize: (user: User | null) => Buffer.from(user!.name, 'utf16le'),
      deserialize: (bytes: Buffer) => ({ name: bytes.toString('utf16le') }),
    };
    const connection = `${inject('redisUrl')}/1`;
    const service = new Service({ serializer, connection, ttl: 5_000 });
    const [one, other] = [await service.start(), await service.start()];
    await settle(one, other);
    service.table.set('1', { name: 'Žofie' });
    await one.read('1');
    const raw = connectRaw(connection);
    const key = `${service.keyPrefix}user:1`;
    await eventually(async () => expect(await raw.exists(key)).toBe(1));
    expect(await raw.pttl(key)).toBeLessThanOrEqual(5_000);
    expect(await other.read('1')).toEqual({ name: 'Žofie' });
    expect(other.users.stats.l2Hits).toBe(1);
  });
});

describeOnRedisServer('Second tier: other servers', () => {
  it('sweeps every master of a cluster', async () => {
    const cluster = await startCluster();
    onTestFinished(() => cluster.stop());
    const nodes = cluster.nodes.map(({ host, port }) => ({ host, port }));
    const connection = { cluster: { nodes } };
    const service = new Service({ connection });
    const [one, other] = [await service.start(), await service.start()];
    await settle(one, other);
    const ids = Array.from({ length: 30 }, (_, id) => String(id));
    for (const id of ids) service.table.set(id, { name: id });
    const client = new Cluster(nodes);
    onTestFinished(() => client.disconnect());
    const stored = async (): Promise<string[]> => {
      const there = await Promise.all(
        ids.map((id) => client.exists(`${service.keyPrefix}user:${id}`)),
      );
      return ids.filter((_, at) => there[at] === 1);
    };
    for (const id of ids) await one.read(id);
    await eventually(async () => expect(await stored()).toEqual(ids));
    for (const id of ids) await other.read(id);
    expect(other.users.stats).toMatchObject({ l2Hits: 30, loads: 0 });

    await one.publisher.invalidate('User', 3);
    await one.publisher.invalidatePattern('user:1*');
    const left = ids.filter((id) => id !== '3' && !id.startsWith('1'));
    await eventually(async () => expect(await stored()).toEqual(left));
  });

  it('needs no more rights than docs/near-caches.md lists', async () => {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    const [, rights = ''] =
      /near caches needs? `([^`]+)`/.exec(
        readFileSync('docs/near-caches.md', 'utf8'),
      ) ?? [];
    expect(rights).toContain('+getrange');
    const service = new Service({
      connection: `redis://cache:pw@127.0.0.1:${server.port}`,
    });
    const keys = `~${service.keyPrefix}*`;
    await raw.acl('SETUSER', 'cache', 'on', '>pw', keys, ...rights.split(' '));
    const one = await service.start();
    await settle(one);
    service.table.set('1', { name: 'Ada' });
    const key = `${service.keyPrefix}user:1`;
    const expectStored = (count: number): Promise<void> =>
      eventually(async () => expect(await raw.exists(key)).toBe(count));
    await one.read('1');
    await expectStored(1);
    await one.publisher.invalidatePattern('user:*');
    await expectStored(0);
    await one.read('1');
    await expectStored(1);
    await one.publisher.invalidate('User', 1);
    await expectStored(0);
    expect(one.users.stats.l2Errors).toBe(0);
  });
});

describe('Second tier: entries that match a pattern', () => {
  it('are removed by one instance for all', async () => {
    const server = await startServer();
    const raw = connectRaw(server.url);
    const service = new Service({ connection: server.url });
    const nodes: Node[] = [];
    for (let at = 0; at < 3; at++) nodes.push(await service.start());
    const [one] = nodes as [Node];
    await settle(...nodes);
    const key = (id: string): string => `${service.keyPrefix}user:${id}`;
    for (const id of ['1', '2']) {
      service.table.set(id, { name: id });
      await one.read(id);
      await eventually(async () => expect(await raw.exists(key(id))).toBe(1));
      await one.publisher.invalidatePattern(`user:${id}*`);
      await eventually(async () => expect(await raw.exists(key(id))).toBe(0));
      const lease = `${service.keyPrefix}~sweep:user:`;
      await eventually(async () => expect(await raw.exists(lease)).toBe(0));
    }
    const stats = await raw.info('commandstats');
    expect(stats).toMatch(/cmdstat_scan:calls=2,/);
  });

  it('are removed by another instance if that one dies', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    service.table.set('1', { name: 'Ada' });
    await one.read('1');
    await service.whenStored('1');
    const lease = `${service.keyPrefix}~sweep:user:`;
    await service.redis.set(lease, 'one that was killed', 'PX', 500);
    await one.publisher.invalidatePattern('user:*');
    await eventually(async () => expect(await service.keys()).toEqual([]), {
      timeout: 15_000,
    });
  }, 20_000);
});

describe('Second tier: failures', () => {
  it.each([
    ['garbage', 'garbage'],
    ['a value that cannot be read', 'OFFSET\nv{'],
    ['an entry with another offset', '1-1\nv{"name":"old"}'],
  ])('loads instead of %s', async (_, entry) => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    service.table.set('1', { name: 'Ada' });
    const text = entry.replace(
      'OFFSET',
      one.context.get(PositionTracker, { strict: false }).position!,
    );
    await service.redis.set(`${service.keyPrefix}user:1`, text);
    expect(await one.read('1')).toEqual({ name: 'Ada' });
    expect(one.users.stats).toMatchObject({ l2Hits: 0, loads: 1 });
  });

  it('loads instead of a key of another type, and reports it', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    await service.redis.lpush(`${service.keyPrefix}user:1`, 'a list');
    expect(await one.read('1')).toBeNull();
    expect(one.users.stats.l2Errors).toBeGreaterThan(0);
    expect(one.errors.map(({ message }) => message).join()).toContain(
      'WRONGTYPE',
    );
  });

  it('delays only the first reads while Redis hangs', async () => {
    const server = await startServer();
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    const connection = proxy.url;
    const service = new Service({ connection, timeout: 50 });
    const one = await service.start();
    await settle(one);
    proxy.swallow('down');
    for (const id of ['1', '2', '3']) await one.read(id);
    expect(one.users.stats).toMatchObject({ loads: 3, l2Errors: 1 });
    expect(await one.publisher.invalidate('User', 1)).toMatchObject({
      status: 'delivered',
    });
  });

  it('loads while Redis is away', async () => {
    const server = await startServer();
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    const connection = proxy.url;
    const service = new Service({ connection });
    const one = await service.start();
    await settle(one);
    service.table.set('1', { name: 'Ada' });
    await proxy.close();
    expect(await one.read('1')).toEqual({ name: 'Ada' });
    await one.publisher.invalidatePattern('user:*');
    expect(await one.read('1')).toEqual({ name: 'Ada' });
  });

  it('writes the mark of a message without a journal once Redis is back', async () => {
    const server = await startServer();
    const service = new Service({ connection: server.url });
    const one = await service.start();
    await settle(one);
    server.kill();
    const { length } = one.messages;
    await eventually(async () => {
      await service.redis.publish(service.channel, foreign('User', '2'));
      expect(one.messages.length).toBeGreaterThan(length);
      expect(one.users.stats.l2Errors).toBeGreaterThan(0);
    });
    await server.restart();
    const shared = connectRaw(server.url);
    await eventually(async () => {
      const mark = `${service.keyPrefix}~foreign:user:`;
      expect(await shared.exists(mark)).toBe(1);
    });
  });

  it('does not block the start of the application', async () => {
    const service = new Service({ connection: 'redis://127.0.0.1:1' });
    const one = await service.start({ startupTimeout: 50 });
    expect(await one.read('1')).toBeNull();
  });

  it('rejects two caches of the same entity type with the same prefix', async () => {
    const { context } = await startApp();
    const factory = context.get(NearCacheFactory);
    factory.create('User', { l2: {} });
    factory.create('Post', { l2: {} });
    factory.create('User', { l2: {} }, 'Users.find');
    expect(() => factory.create('User', { l2: {} })).toThrow(
      /another cache of User has "near:test-service:"/,
    );
  });

  it('rejects invalid options, and a missing journal', async () => {
    const { context } = await startApp({ journal: false });
    const factory = context.get(NearCacheFactory);
    expect(() => factory.create('User', { l2: {} })).toThrow(
      /takes the journal/,
    );
    expect(() =>
      factory.create('User', { l2: { ttl: 0, timeout: -1, keyPrefix: '' } }),
    ).toThrow(/l2\.ttl[^]*l2\.timeout[^]*l2\.keyPrefix/);
    const bad = { keyPrefix: 5, serializer: {} } as never;
    expect(() => factory.create('User', { l2: bad })).toThrow(
      /l2\.keyPrefix[^]*l2\.serializer/,
    );
  });

  it('is not used when the module is disabled', async () => {
    const service = new Service();
    const one = await service.start({ enabled: false });
    service.table.set('1', { name: 'Ada' });
    await one.read('1');
    await one.read('1');
    expect(one.users.stats).toMatchObject({ loads: 2, size: 0, l2Errors: 0 });
    expect(await service.keys()).toEqual([]);
  });
});

/** A message as a service in another language publishes it. */
function foreign(type: string, id: string): string {
  return JSON.stringify({
    message_id: randomUUID(),
    entity_type: type,
    entity_id: id,
    action: 'Delete',
    timestamp: new Date().toISOString(),
    source_service: 'another-language',
  });
}
