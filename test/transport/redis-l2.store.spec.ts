import { describe, expect, it, onTestFinished } from 'vitest';
import { openEntries } from '../../lib/transport/index.js';
import { RedisL2Store } from '../../lib/transport/redis/redis-l2.store.js';
import { connectRaw } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { type RedisServer } from '../support/redis.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';

interface Setup {
  readonly server: RedisServer;
  readonly proxy: Proxy;
  readonly store: RedisL2Store;
  readonly errors: string[];
}

async function setup(patience: number): Promise<Setup> {
  const server = await startServer();
  const proxy = await startProxy(server.port);
  onTestFinished(() => proxy.close());
  const errors: string[] = [];
  const store = new RedisL2Store(
    openEntries(proxy.url),
    ({ message }) => errors.push(message),
    patience,
  );
  onTestFinished(() => store.close());
  store.open();
  await store.opened;
  return { server, proxy, store, errors };
}

function put(store: RedisL2Store, key: string): Promise<void> {
  return store.put(key, '1-1', Buffer.from('1-1\nv1'), 60_000);
}

describe('RedisL2Store', () => {
  it.each(['prod:', 'p[r]o*d?:', '{tenant}:'])(
    'applies the key prefix "%s" of its connection',
    async (keyPrefix) => {
      const server = await startServer();
      const [mine, theirs] = [keyPrefix, 'staging:'].map((prefix) => {
        const { port } = server;
        const connection = { host: '127.0.0.1', port, keyPrefix: prefix };
        const store = new RedisL2Store(
          openEntries(connection),
          () => undefined,
        );
        onTestFinished(() => store.close());
        store.open();
        return store;
      }) as [RedisL2Store, RedisL2Store];
      await Promise.all([mine.opened, theirs.opened]);
      await put(mine, 'near:user:1');
      await put(theirs, 'near:user:2');
      await mine.write('near:mark', '1', 60_000);
      expect(await mine.lease('near:lease', 'me', 60_000)).toBe(true);
      expect(await theirs.lease('near:lease', 'they', 60_000)).toBe(true);
      expect(await mine.swap('near:text', '', 'a', 60_000)).toBeNull();
      expect(await mine.swap('near:text', '', 'b', 60_000)).toBe('a');
      expect(await mine.swap('near:text', 'a', 'c', 60_000)).toBeNull();
      expect(await theirs.swap('near:text', '', 'd', 60_000)).toBeNull();
      expect(await theirs.get('near:user:1')).toBeNull();
      expect(String(await mine.get('near:user:1'))).toBe('1-1\nv1');
      const found: string[] = [];
      for await (const keys of mine.scan('near:*')) found.push(...keys);
      expect(found.toSorted()).toEqual([
        'near:lease',
        'near:mark',
        'near:text',
        'near:user:1',
      ]);
      const raw = connectRaw(server.url);
      expect(await raw.exists(`${keyPrefix}near:user:1`)).toBe(1);
      await mine.drop('near:user:1', '2-1');
      expect(await mine.get('near:user:1')).toBeNull();
      expect(await theirs.get('near:user:2')).not.toBeNull();
    },
  );
});

describe('RedisL2Store: connection', () => {
  it('is replaced when its connect gets no reply', async () => {
    const server = await startServer();
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    proxy.swallow();
    const store = new RedisL2Store(openEntries(proxy.url), () => undefined);
    onTestFinished(() => store.close());
    store.open();
    await eventually(() => expect(proxy.swallowed).toBeGreaterThan(0));
    // The connection that was opened before stays dead.
    proxy.pass();
    await store.opened;
    await put(store, 'user:1');
  });

  it('is replaced when a command gets no reply', async () => {
    const { proxy, store, errors } = await setup(100);
    // A busy machine may need longer at first.
    await eventually(() => put(store, 'user:1'));
    proxy.swallow();
    const reading = store.get('user:1');
    await expect(reading).rejects.toThrow('unanswered for 100 ms');
    // The connection that hung stays dead.
    proxy.pass();
    await eventually(async () => {
      expect(String(await store.get('user:1'))).toBe('1-1\nv1');
    });
    expect(errors).toContain('It has left a command unanswered for 100 ms.');
  });

  it('rejects all commands in flight when it breaks or is closed', async () => {
    const { proxy, store } = await setup(60_000);
    await put(store, 'user:1');
    proxy.swallow('down');
    const unanswered = [
      store.get('user:1'),
      put(store, 'user:2'),
      store.drop('user:1', '2-1'),
      store.write('mark', '1', 1_000),
      store.lease('lease', 'me', 1_000),
      store.swap('text', '', 'a', 1_000),
      store.scan('*')[Symbol.asyncIterator]().next(),
    ];
    const settled = Promise.allSettled(unanswered);
    await eventually(() => expect(proxy.swallowed).toBeGreaterThan(0));
    proxy.pass();
    proxy.cut();
    for (const one of await settled) {
      expect(one).toMatchObject({
        reason: { message: 'The connection broke.' },
      });
    }

    await eventually(() => store.get('user:1'));
    proxy.swallow('down');
    const reading = store.get('user:1');
    store.close();
    await expect(reading).rejects.toThrow('closed');
  });

  itOnRedisServer(
    'is replaced when its server has become a replica',
    async () => {
      const { server, store } = await setup(60_000);
      const admin = connectRaw(server.url);
      const clients = async () =>
        String(await admin.client('LIST')).match(/^id=\d+/gm);
      const before = await clients();
      await admin.replicaof('127.0.0.1', 1);
      await expect(put(store, 'user:1')).rejects.toThrow('READONLY');
      await admin.replicaof('no', 'one');
      await eventually(() => put(store, 'user:1'));
      expect(await clients()).not.toEqual(before);
    },
  );
});
