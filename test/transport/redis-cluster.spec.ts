import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import {
  openCommands,
  openEntries,
  RedisTransport,
  type RedisConnection,
} from '../../lib/transport/index.js';
import { RedisL2Store } from '../../lib/transport/redis/redis-l2.store.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { type RedisServer } from '../support/redis.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import {
  startCluster,
  type RedisCluster,
} from '../support/redis.topologies.js';
import { about, chain, idsOf, linksOf, offsetsOf, read } from './messages.js';
import {
  startTransport,
  type RecordingListener,
} from './transport.contract.js';

const slow = { timeout: 25_000 };

interface Pair {
  readonly channel: string;
  readonly key: string;
  readonly sender: RedisTransport;
  readonly own: RecordingListener;
  readonly reader: RedisTransport;
  readonly heard: RecordingListener;
}

async function startPair(
  { nodes }: RedisCluster,
  { sharded = false, journaled = true } = {},
): Promise<Pair> {
  const channel = uniqueChannel();
  const open = (): RedisTransport =>
    new RedisTransport({
      connection: { cluster: { nodes } },
      channel,
      journal: journaled && { maxLength: 1_000 },
      sharded,
      maxMessageBytes: 1_048_576,
    });
  const [sender, reader] = [open(), open()];
  const own = await startTransport(sender);
  const heard = await startTransport(reader);
  return { channel, key: `{${channel}}:journal`, sender, own, reader, heard };
}

/** Subscribers of a shard channel, node by node. */
function shardSubscribers(
  servers: readonly RedisServer[],
  channel: string,
): Promise<number[]> {
  return Promise.all(
    servers.map(async ({ url }) => {
      const client = new Redis(url);
      const reply = await client.call('PUBSUB', 'SHARDNUMSUB', channel);
      client.disconnect();
      return (reply as [string, number])[1];
    }),
  );
}

/** Repeats a publish until Redis takes it, as the queue does; delivered once. */
async function publish(transport: RedisTransport, id: string): Promise<string> {
  const payload = about(id);
  return eventually(async () => {
    const [offset] = offsetsOf(await transport.publish([payload], '-'));
    return offset!;
  }, slow);
}

/** Returns another master. */
function otherThan(cluster: RedisCluster, server: RedisServer): RedisServer {
  return cluster.servers.find((each) => each !== server)!;
}

describeOnRedisServer('RedisTransport on a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster.stop());

  it.each([false, true])(
    'appends to the journal and publishes in order (sharded: %s)',
    async (sharded) => {
      const { sender, reader, heard } = await startPair(cluster, {
        sharded,
      });
      // The connection to the node of the slot may not be open before.
      const first = await publish(sender, 'first');
      const ids = Array.from({ length: 200 }, (_, i) => String(i));
      const replies = await Promise.all(
        ids.map((id) => sender.publish([about(id)])),
      );

      await eventually(() => expect(heard.payloads).toHaveLength(201));
      expect(idsOf(heard.payloads)).toEqual(['first', ...ids]);
      const offsets = [first, ...replies.flatMap(offsetsOf)];
      expect(linksOf(heard.payloads)).toEqual(chain('0-0', offsets));
      expect(await reader.journalTail()).toBe(offsets.at(-1));
      const entries = await reader.readJournal('-', 1_000);
      expect(entries.map(({ payload }) => payload)).toEqual(heard.payloads);
      expect(await sender.missingRights()).toEqual([]);
      await reader.ping();
      expect(heard.events).not.toContain('lost');
    },
  );

  it('subscribes to a shard channel on the owner of its slot, with and without a journal', async () => {
    for (const journaled of [true, false]) {
      const pair = await startPair(cluster, { sharded: true, journaled });
      const owner = await cluster.ownerOf(pair.key);
      expect(await shardSubscribers(cluster.servers, pair.channel)).toEqual(
        cluster.servers.map((server) => (server === owner ? 2 : 0)),
      );
      await pair.sender.publish([about(1), about(2)]);
      await eventually(() =>
        expect(idsOf(pair.heard.payloads)).toEqual(['1', '2']),
      );
    }
  });

  it('continues the journal when its slot moves', async () => {
    const { key, sender, heard } = await startPair(cluster);
    const before = await publish(sender, 'before');
    const owner = await cluster.ownerOf(key);
    const other = otherThan(cluster, owner);

    await cluster.moveSlot(key, owner, other);
    onTestFinished(() => cluster.moveSlot(key, other, owner));

    const during = await publish(sender, 'during');
    const after = await publish(sender, 'after');
    await eventually(() =>
      expect(idsOf(heard.payloads)).toEqual(['before', 'during', 'after']),
    );
    expect(linksOf(heard.payloads)).toEqual(
      chain('0-0', [before, during, after]),
    );
    expect(await connectRaw(other.url).xlen(key)).toBe(3);
  });

  it.each([true, false])(
    'moves the subscription when the slot of the shard channel moves (journaled: %s)',
    async (journaled) => {
      const pair = await startPair(cluster, { sharded: true, journaled });
      const { channel, key, sender, reader, heard } = pair;
      const owner = await cluster.ownerOf(key);
      const other = otherThan(cluster, owner);
      await publish(sender, 'before');

      await cluster.moveSlot(key, owner, other);
      onTestFinished(() => cluster.moveSlot(key, other, owner));

      // The query of a heartbeat must be enough.
      await eventually(async () => {
        await Promise.allSettled([sender.ping(), reader.ping()]);
        expect(await shardSubscribers(cluster.servers, channel)).toEqual(
          cluster.servers.map((server) => (server === other ? 2 : 0)),
        );
      }, slow);
      await eventually(() =>
        expect(heard.events.slice(-2)).toEqual(['lost', 'subscribed']),
      );
      await publish(sender, 'after');
      await eventually(() => expect(idsOf(heard.payloads)).toContain('after'));
    },
  );
});

describeOnRedisServer('RedisTransport on a cluster with replicas', () => {
  it.each([false, true])(
    'continues on the replica when the master of the journal is killed (sharded: %s)',
    async (sharded) => {
      const cluster = await startCluster({ replicated: true });
      onTestFinished(() => cluster.stop());
      const pair = await startPair(cluster, {
        sharded,
      });
      const { channel, key, sender, heard, reader } = pair;
      const before = await publish(sender, 'before');
      const owner = await cluster.ownerOf(key);
      const heir = cluster.replicas[cluster.servers.indexOf(owner)]!;
      const copy = connectRaw(heir.url);
      await copy.readonly();
      await eventually(async () => expect(await copy.xlen(key)).toBe(1));

      owner.kill();

      const during = await publish(sender, 'during');
      await eventually(async () => {
        await reader.ping();
        expect(heard.events.at(-1)).not.toBe('lost');
        // From now on only a subscription to the new owner receives from a
        // shard channel.
        const others = cluster.servers.filter((server) => server !== owner);
        const counts = await shardSubscribers([heir, ...others], channel);
        expect(counts).toEqual([sharded ? 2 : 0, 0, 0]);
      }, slow);
      const after = await publish(sender, 'after');

      await eventually(() => expect(idsOf(heard.payloads)).toContain('after'));
      expect(read(heard.payloads.at(-1)!).previous).toBe(during);
      // The reader, which has published nothing, learns the new owner as well.
      const offsets = await eventually(async () => {
        const entries = await reader.readJournal('-', 10);
        return entries.map(({ offset }) => offset);
      }, slow);
      expect(offsets).toEqual([before, during, after]);
    },
    60_000,
  );
});

describeOnRedisServer('RedisTransport on a cluster of one node', () => {
  let cluster: RedisCluster;
  beforeAll(async () => void (cluster = await startCluster({ masters: 1 })));
  afterAll(() => cluster.stop());

  type Options = ConstructorParameters<typeof Cluster>[1];
  const PREFIXED: [string, Options][] = [
    ['redisOptions.keyPrefix', { redisOptions: { keyPrefix: 'svc:' } }],
    ['keyPrefix', { keyPrefix: 'svc:' }],
    ['both', { keyPrefix: 'a:', redisOptions: { keyPrefix: 'b:' } }],
  ];
  const given = PREFIXED.flatMap(([name, options]) => [
    [`${name} of a description`, false, options],
    [`${name} of a client of the application`, true, options],
  ]) as [string, boolean, Options][];

  it.each(given)(
    'applies %s neither to the journal nor to the channel',
    async (_, isClient, options) => {
      const { nodes } = cluster;
      let connection: RedisConnection = { cluster: { nodes, options } };
      if (isClient) {
        const client = new Cluster(nodes, { ...options, lazyConnect: true });
        onTestFinished(() => client.disconnect());
        connection = client;
      }
      for (const sharded of [false, true]) {
        const channel = `{${uniqueChannel()}}:shard`;
        const journal = { maxLength: 1_000 };
        const [plain, prefixed] = [{ cluster: { nodes } }, connection].map(
          (each) =>
            new RedisTransport({
              connection: each,
              channel,
              journal,
              sharded,
              maxMessageBytes: 1_048_576,
            }),
        ) as [RedisTransport, RedisTransport];
        const heard = [
          await startTransport(plain),
          await startTransport(prefixed),
        ];
        await publish(plain, 'one');
        await publish(prefixed, 'two');
        for (const { payloads } of heard) {
          await eventually(() =>
            expect(idsOf(payloads)).toEqual(['one', 'two']),
          );
        }
        const raw = connectRaw(cluster.servers[0]!.url);
        expect(await raw.keys(`*${channel}*`)).toEqual([`${channel}:journal`]);
      }
    },
  );

  it('applies the key prefix to entries of the second tier, glob characters included', async () => {
    const { nodes } = cluster;
    for (const options of [
      { redisOptions: { keyPrefix: 'prod[1]*:' } },
      { keyPrefix: 'prod[1]*:' },
    ]) {
      const [store, other] = [options, {}].map((each) => {
        const connection = { cluster: { nodes, options: each } };
        const opened = new RedisL2Store(
          openEntries(connection),
          () => undefined,
        );
        onTestFinished(() => opened.close());
        opened.open();
        return opened;
      }) as [RedisL2Store, RedisL2Store];
      await Promise.all([store.opened, other.opened]);
      const entry = Buffer.from('1-1\nv1');
      await eventually(() => store.put('near:user:1', '1-1', entry, 60_000));
      await eventually(() => other.put('near:user:2', '1-1', entry, 60_000));
      expect(String(await store.get('near:user:1'))).toBe(String(entry));
      expect(await other.get('near:user:1')).toBeNull();
      const found: string[] = [];
      for await (const keys of store.scan('near:*')) found.push(...keys);
      expect(found).toEqual(['near:user:1']);
      await store.drop('near:user:1', '2-1');
      expect(await store.get('near:user:1')).toBeNull();
    }
  });

  it('uses TLS for nodes given as rediss: URLs', () => {
    const urls = ['rediss://127.0.0.1:7000'];
    const own = new Cluster(urls, { lazyConnect: true });
    for (const connection of [{ cluster: { nodes: urls } }, own]) {
      const client = openCommands(connection) as Cluster;
      expect(client.options.redisOptions).toMatchObject({ tls: {} });
    }
  });
});
