import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
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

/** Tried until it is taken, as the queue does; announced once. */
async function publish(transport: RedisTransport, id: string): Promise<string> {
  const payload = about(id);
  return eventually(async () => {
    const [offset] = offsetsOf(await transport.publish([payload], '-'));
    return offset!;
  }, slow);
}

/** Another master than this one. */
function otherThan(cluster: RedisCluster, server: RedisServer): RedisServer {
  return cluster.servers.find((each) => each !== server)!;
}

describeOnRedisServer('over a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster.stop());

  it.each([false, true])(
    'journals and announces in order (sharded: %s)',
    async (sharded) => {
      const { sender, reader, heard } = await startPair(cluster, { sharded });
      // The connection to the node of the slot may be opened only now.
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

  it('a shard channel is subscribed to where its slot is, without a journal too', async () => {
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

  it("the journal's slot moves: the journal goes on elsewhere", async () => {
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
    "the shard channel's slot moves: the subscription follows (journaled: %s)",
    async (journaled) => {
      const pair = await startPair(cluster, { sharded: true, journaled });
      const { channel, key, sender, reader, heard } = pair;
      const owner = await cluster.ownerOf(key);
      const other = otherThan(cluster, owner);
      await publish(sender, 'before');

      await cluster.moveSlot(key, owner, other);
      onTestFinished(() => cluster.moveSlot(key, other, owner));

      // A heartbeat's question is all that may be needed.
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

describeOnRedisServer('over a cluster with replicas', () => {
  it.each([false, true])(
    "the journal's master is killed: its replica takes over (sharded: %s)",
    async (sharded) => {
      const cluster = await startCluster({ replicated: true });
      onTestFinished(() => cluster.stop());
      const pair = await startPair(cluster, { sharded });
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
        // Nothing but a subscription to the heir hears a shard channel now.
        const others = cluster.servers.filter((server) => server !== owner);
        const counts = await shardSubscribers([heir, ...others], channel);
        expect(counts).toEqual([sharded ? 2 : 0, 0, 0]);
      }, slow);
      const after = await publish(sender, 'after');

      await eventually(() => expect(idsOf(heard.payloads)).toContain('after'));
      expect(read(heard.payloads.at(-1)!).previous).toBe(during);
      // The reader, which has published nothing, learns it as well.
      const offsets = await eventually(async () => {
        const entries = await reader.readJournal('-', 10);
        return entries.map(({ offset }) => offset);
      }, slow);
      expect(offsets).toEqual([before, during, after]);
    },
    60_000,
  );
});
