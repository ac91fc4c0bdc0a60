import type { RedisConnection } from 'nestjs-cache-invalidation';
import { expect, it, onTestFinished } from 'vitest';
import { RegionRelays } from '../../lib/regions/index.js';
import { connectRaw, said, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { startCluster, startSentinel } from '../support/redis.topologies.js';
import { numbers, users } from '../subscriber/setup.js';
import { QUICK, startRegion } from './regions.js';

const slow = { timeout: 40_000 };

/** A reader in eu, which relays us, and a writer in us; us is at the given connection. */
async function startPair(connection: RedisConnection, sharded = false) {
  const eu = await startRegion('eu');
  const { channel } = eu;
  const reader = await eu.app({ us: { connection } }, { sharded });
  const writer = await startApp({
    ...QUICK,
    connection,
    channel,
    sharded,
    regions: { local: 'us', sources: { eu: {} } },
  });
  await proven(reader);
  return { reader, writer, channel };
}

/** Waits for a proof that began after this call. */
async function proven({ subscriber }: TestApp): Promise<void> {
  const since = performance.now();
  await eventually(
    () =>
      expect(subscriber.staleness('us')).toBeLessThan(
        performance.now() - since,
      ),
    slow,
  );
}

const heard = ({ messages }: TestApp): string[] => messages.map(said);

/** Publishes users whose ids are numbers, without waiting for one to be delivered. */
const write = ({ publisher }: TestApp, ids: readonly number[]) =>
  Promise.all(ids.map((id) => publisher.invalidate('User', id)));

describeOnRedisServer('RegionRelay', () => {
  it.each([false, true])(
    'relays a source that is a cluster, whose journal moves to another node (sharded: %s)',
    async (sharded) => {
      const cluster = await startCluster();
      onTestFinished(() => cluster.stop());
      const { nodes } = cluster;
      const { reader, writer, channel } = await startPair(
        { cluster: { nodes } },
        sharded,
      );
      await write(writer, [1, 2]);
      await eventually(
        () => expect(heard(reader)).toEqual(['*', ...users(1, 2)]),
        slow,
      );

      const key = `{${channel}}:journal`;
      const owner = await cluster.ownerOf(key);
      const other = cluster.servers.find((server) => server !== owner)!;
      await cluster.moveSlot(key, owner, other);
      await write(writer, [3, 4]);
      await eventually(
        () => expect(heard(reader)).toEqual(['*', ...users(1, 2, 3, 4)]),
        slow,
      );
      await proven(reader);
    },
    60_000,
  );

  it.each([
    ['follows', false],
    ['lacks messages that were relayed', true],
  ])(
    'loses nothing at a failover by Sentinel to a replica that %s',
    async (_, lags) => {
      const { sentinels, name, master, replica, stop } = await startSentinel();
      onTestFinished(stop);
      const { reader, writer } = await startPair({
        sentinels,
        name,
      });
      await write(writer, [0]);
      await eventually(
        () => expect(heard(reader)).toEqual(['*', 'User:0']),
        slow,
      );
      if (lags) {
        replica.pause();
        await connectRaw(master.url).call('CLIENT', 'KILL', 'TYPE', 'replica');
      }
      await write(writer, [1, 2, 3]);
      await eventually(
        () => expect(heard(reader)).toEqual(['*', ...users(0, 1, 2, 3)]),
        slow,
      );

      const ids = numbers(41).slice(4);
      const under = write(writer, ids.slice(0, 20));
      master.kill();
      if (lags) replica.resume();
      await Promise.all([under, write(writer, ids.slice(20, -1))]);
      await eventually(
        async () =>
          expect(await writer.publisher.invalidate('User', 40)).toMatchObject({
            status: 'delivered',
          }),
        slow,
      );

      await proven(reader);
      const since = heard(reader).slice(5);
      expect(ids.filter((id) => !isCovered(id, since))).toEqual([]);
      const [relay] = reader.context.get(RegionRelays).relays;
      // The other replica may lack the last ones, too.
      expect(relay!.log.widenedBy.has('missed') || !lags).toBe(true);
    },
    90_000,
  );
});

/** Whether a user was evicted in its turn, by its own message or by "everything". */
function isCovered(id: number, seen: readonly string[]): boolean {
  const before = seen.findLastIndex(
    (each) => each !== '*' && Number(each.slice(5)) < id,
  );
  const rest = seen.slice(before + 1);
  return rest.includes(`User:${id}`) || rest.includes('*');
}
