import { Redis } from 'ioredis';
import {
  entity,
  InvalidationSubscriber,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { expect, inject, it, onTestFinished } from 'vitest';
import {
  connectionName,
  readConnectionName,
} from '../../lib/transport/index.js';
import { connectRaw, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { becomes, hears, journalOf, users } from '../subscriber/setup.js';

const introduction = {
  serviceName: 'users',
  version: '1.2.3',
  origin: 'o-1',
  types: ['User'],
};

it.each([
  ['cache:invalidate', 'user-service', ['User', 'session']],
  ['a channel\n', 'Bücher & co: 1', []],
  ['{x}', 'name=1 id=2', null],
  ['\ud800', '%', ['a,b', 'c:d']],
])(
  'readConnectionName() returns what connectionName() was given: %j, %j, %j',
  (channel, serviceName, types) => {
    const given = { ...introduction, serviceName, types };
    const name = connectionName('commands', channel, given);
    expect(name).toMatch(/^[!-~]+$/);
    expect(readConnectionName(name, channel)).toEqual({
      role: 'commands',
      ...given,
    });
    expect(readConnectionName(name, 'another')).toBeNull();
  },
);

it('connectionName() drops the entity types when the name would become too long', () => {
  const long = 'ü'.repeat(10_000);
  const types = Array.from({ length: 500 }, (_, n) => `type-${n}`);
  const given = { ...introduction, serviceName: long, types };
  const name = connectionName('subscription', long, given);
  expect(name.length).toBeLessThan(1_000);
  expect(readConnectionName(name, long)).toMatchObject({
    origin: 'o-1',
    types: undefined,
  });
});

it.each(['', 'ioredis-cluster(refresher)', 'cache-invalidation:commands:x'])(
  'readConnectionName() returns null for a foreign name: %j',
  (name) => expect(readConnectionName(name, 'x')).toBeNull(),
);

async function namesOn(url: string, channel: string) {
  const list = String(await connectRaw(url).client('LIST'));
  const names = [...list.matchAll(/ name=(\S+)/g)].map(([, name = '']) => name);
  return {
    names,
    ours: names.flatMap((name) => readConnectionName(name, channel) ?? []),
  };
}

describeOnRedisServer('Connection names', () => {
  it.each([[2], [3]] as const)(
    'name the handled entity types, and follow their changes (RESP%i)',
    async (protocol) => {
      const server = await startServer({ real: true });
      const { hostname: host, port } = new URL(server.url);
      const channel = uniqueChannel();
      const client = new Redis({
        host,
        port: Number(port),
        lazyConnect: true,
        protocol,
      });
      onTestFinished(() => client.disconnect());
      const { context: app } = await startApp({
        quiet: true,
        connection: client,
        channel,
        heartbeatInterval: 50,
      });
      const subscriber = app.get(InvalidationSubscriber);
      const commands = async () => {
        const { ours } = await namesOn(server.url, channel);
        expect(ours).toHaveLength(2);
        return ours.find(({ role }) => role === 'commands')!.types;
      };
      await eventually(async () => expect(await commands()).toEqual([]));
      const all = subscriber.messages$.subscribe();
      await eventually(async () => expect(await commands()).toBeNull());
      all.unsubscribe();
      const end = subscriber.subscribe(() => undefined, 'Order', 'User');
      await eventually(async () =>
        expect(await commands()).toEqual(['Order', 'User']),
      );
      end();
      await eventually(async () => expect(await commands()).toEqual([]));
      const caches = app.get(NearCacheFactory);
      const userCache = caches.create<string>('User', { ttl: 1_000 });
      await eventually(async () => expect(await commands()).toEqual(['User']));
      // Entries of this cache depend on other entity types too.
      const feeds = caches.create<string>('Feed', {
        ttl: 1_000,
        dependsOn: () => [entity('Post', '1')],
      });
      await eventually(async () => expect(await commands()).toBeNull());
      feeds.close();
      userCache.close();
      await eventually(async () => expect(await commands()).toEqual([]));

      await connectRaw(server.url).call('CLIENT', 'KILL', 'TYPE', 'normal');
      await eventually(async () => expect(await commands()).toEqual([]));
    },
  );

  it('are left out when the user lacks the right to set them', async () => {
    const server = await startServer({ real: true });
    const channel = uniqueChannel();
    const rights =
      '+eval +evalsha +xadd +xrange +xrevrange +xinfo +time +publish +subscribe +ping +info';
    await connectRaw(server.url).acl(
      'SETUSER',
      'app',
      'on',
      'nopass',
      '-@all',
      ...rights.split(' '),
      `~${journalOf(channel)}`,
      `&${channel}`,
    );
    const app = await startApp({
      connection: server.url.replace('//', '//app:any@'),
      channel,
    });
    await becomes(app, 'live');
    await app.publisher.invalidateUser('1');
    await hears(app, users(1));
    expect(app.errors).toEqual([]);
    expect((await namesOn(server.url, channel)).ours).toEqual([]);
  });
});

it('keep a connectionName set by the application', async () => {
  const channel = uniqueChannel();
  const { hostname: host, port } = new URL(inject('redisUrl'));
  const own = `mine-${channel}`;
  await startApp({
    connection: { host, port: Number(port), connectionName: own },
    channel,
  });
  const { names, ours } = await namesOn(inject('redisUrl'), channel);
  expect(ours).toEqual([]);
  expect(names.filter((name) => name === own)).toHaveLength(2);
});
