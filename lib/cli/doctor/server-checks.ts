import {
  ACTIVE_ACTIVE,
  ACTIVE_ACTIVE_ADVICE,
  isActiveActive,
  isCluster,
} from '../../transport/index.js';
import { fail, ok, unknown, warn, type Check } from './finding.js';
import { infoOf, linesOf, onEach, settingOf } from './nodes.js';

const PINGS = 5;
const SLOW_MS = 50;

/** @internal */
export const SERVER_CHECKS: readonly Check[] = [
  {
    name: 'round trip',
    async run(link) {
      const times: number[] = [];
      for (let i = 0; i < PINGS; i++) {
        const since = performance.now();
        await link.within('a PING', link.client.ping());
        times.push(performance.now() - since);
      }
      const median = times.toSorted((a, b) => a - b)[Math.floor(PINGS / 2)]!;
      const message = `${median.toFixed(2)} ms, the median of ${PINGS}`;
      return median < SLOW_MS
        ? ok(message)
        : warn(
            message,
            'Each awaited publish takes as long. Move Redis nearer, or lower publishTimeout.',
          );
    },
  },
  {
    name: 'server',
    run: (link) =>
      onEach(link, async (node) => {
        const info = await infoOf(link, node, 'server');
        const valkey = info.get('valkey_version');
        const version = valkey ?? info.get('redis_version') ?? '';
        const name = `${valkey ? 'Valkey' : 'Redis'} ${version}`;
        const { sharded } = link.target;
        if (await link.within('INFO modules', isActiveActive(node))) {
          return fail(`${name}: ${ACTIVE_ACTIVE}`, ACTIVE_ACTIVE_ADVICE);
        }
        return isAtLeast(version, sharded ? [7, 0] : [6, 2])
          ? ok(name)
          : fail(
              name,
              sharded
                ? 'Sharded Pub/Sub needs 7.0 or newer: upgrade, or set sharded: false.'
                : 'Upgrade to 6.2 or newer.',
            );
      }),
  },
  {
    name: 'cluster',
    async run(link) {
      if (!isCluster(link.client)) {
        const info = await infoOf(link, link.client, 'cluster');
        return info.get('cluster_enabled') === '1'
          ? fail(
              'this server is a node of a cluster',
              'Give --cluster here, and connection: { cluster: { nodes } } to the services.',
            )
          : ok('none');
      }
      return onEach(link, async (node) => {
        const text = await link.within('CLUSTER INFO', node.cluster('INFO'));
        const state = linesOf(text).get('cluster_state') ?? '';
        return state === 'ok'
          ? ok('state ok')
          : fail(
              `state ${state}`,
              'Some slots are not served: see CLUSTER NODES. Publishes wait in the outbox meanwhile.',
            );
      });
    },
  },
  {
    name: 'replication',
    run: (link) =>
      onEach(link, async (node) => {
        const info = await infoOf(link, node, 'replication');
        if (info.get('role') !== 'master') {
          return fail(
            'this server is a replica, and refuses writes',
            'Connect to the master: by its address, or by Sentinel or cluster.',
          );
        }
        const replicas = `a master, replicas: ${info.get('connected_slaves')}`;
        const good = info.get('min_slaves_good_slaves');
        // INFO has this field only if replicas are required.
        if (good === undefined) return ok(replicas);
        const wanted = await settingOf(link, node, 'min-replicas-to-write');
        return Number(good) >= Number(wanted)
          ? ok(`${replicas}, ${wanted} of them required`)
          : fail(
              `${good} of ${wanted} replicas that it requires: it refuses writes (NOREPLICAS)`,
              'Repair the replicas, or lower min-replicas-to-write.',
            );
      }),
  },
  {
    name: 'persistence',
    run: (link) =>
      onEach(link, async (node) => {
        const info = await infoOf(link, node, 'persistence');
        const failed = ['rdb_last_bgsave_status', 'aof_last_write_status'].find(
          (name) => info.has(name) && info.get(name) !== 'ok',
        );
        if (failed !== undefined) {
          return fail(
            `${failed} is ${info.get(failed)}: Redis may refuse writes (MISCONF)`,
            'See its log: the disk is full or not writable.',
          );
        }
        return info.get('aof_enabled') === '1'
          ? ok('append-only file')
          : ok(
              'no append-only file: after a restart readers may evict everything',
            );
      }),
  },
  {
    name: 'idle timeout',
    run: (link) =>
      onEach(link, async (node) => {
        const seconds = Number(await settingOf(link, node, 'timeout'));
        if (Number.isNaN(seconds)) return unknown('the server does not say');
        return seconds === 0 || seconds > 10
          ? ok(seconds === 0 ? 'none' : `${seconds} s`)
          : warn(
              `${seconds} s: connections are closed between two heartbeats (5 s)`,
              'CONFIG SET timeout 0, or a minute.',
            );
      }),
  },
];

/** @internal */
export function isAtLeast(version: string, [major, minor]: [number, number]) {
  const [haveMajor = 0, haveMinor = 0] = version.split('.').map(Number);
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}
