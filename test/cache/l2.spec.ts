import {
  NearCache,
  NearCacheFactory,
  type L2Options,
  type NearCacheOptions,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type AppOptions,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';

interface User {
  readonly name: string;
}

interface Node extends TestApp {
  readonly users: NearCache<User | null>;
  /** How often this instance asked the database. */
  readonly loads: () => number;
  read(id: string): Promise<User | null>;
}

/** A service of some instances, a table, and its entries in Redis. */
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

  /** As it stands in Redis. */
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

/** The journal must have a place to be at. */
async function settle(...nodes: Node[]): Promise<void> {
  const { offset } = await nodes[0]!.publisher.invalidate('Post', 'start');
  for (const { subscriber } of nodes) await subscriber.caughtUp(offset!);
}

describe('The second tier', () => {
  it('spares other instances the load, and keeps nothing stale', async () => {
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

  it('removes at once what exact keys name', async () => {
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

  it('serves those who start later, and knows what came before them', async () => {
    const service = new Service();
    const one = await service.start();
    await settle(one);
    for (const id of ['1', '2']) {
      service.table.set(id, { name: `old ${id}` });
      await one.read(id);
      await service.whenStored(id);
    }
    // Nobody deletes it: what stands there is from before the update.
    const old = await service.redis.getBuffer(`${service.keyPrefix}user:1`);
    service.table.set('1', { name: 'new 1' });
    await one.publisher.invalidate('User', 1);
    await eventually(async () => expect(await service.stored('1')).toBeNull());
    await service.redis.set(`${service.keyPrefix}user:1`, old!);

    const late = await service.start();
    await eventually(async () => {
      await late.read('2');
      expect(late.users.stats.l2Hits).toBe(1);
    });
  });
});
