import { fork } from 'node:child_process';
import { once } from 'node:events';
import { startRaw } from './apps.mjs';
import { interleaved, percentile, perSecond, ratio, us } from './measure.mjs';

const KINDS = [
  'ioredis 6',
  'ioredis 5',
  'layered-loader',
  'cacheable',
  'bentocache',
  'ours without journal',
  'ours',
  'ours, coalesce',
];
const RAW = 'ioredis 6';
const FLOOD = 40_000;
/** Invalidations a second, and how many of them. */
const PACES = [
  [200, 400],
  [2_000, 4_000],
];

/** One invalidation in a process until the entry is gone from the memory of another. */
export async function peers(url, rounds) {
  const result = await betweenPeers(url, rounds, KINDS, measure);
  return {
    title: 'Beside other libraries: from a publish to the eviction elsewhere',
    note: `One call in a process until the entry has left the memory of another one, each library with its own bus. Latencies at ${PACES.map(([rate]) => `${rate}/s`).join(' and ')}; throughput and costs with 256 calls in flight, ${FLOOD} in all. The publish of layered-loader is its publisher's, since its loader does not wait for Redis. Only ours keep a journal or survive a reconnect without loss.`,
    columns: [
      ...PACES.map(([rate]) => `p50 at ${rate}/s`),
      `p99 at ${PACES.at(-1)[0]}/s`,
      'most a second',
      'to raw',
      'CPU of publisher',
      'of receiver',
      'of Redis',
      'bytes from Redis',
    ],
    rows: Object.entries(result).map(([kind, each]) => [
      kind,
      us(each.slow),
      us(each.fast),
      us(each.fast99),
      perSecond(each.rate),
      ratio(each.rate, result[RAW].rate),
      us(each.publisher),
      us(each.receiver),
      us(each.redis),
      Math.round(each.bytes).toString(),
    ]),
  };
}

async function measure({ from, to }, redis) {
  const latencies = [];
  for (const [rate, count] of PACES) {
    const { sent, gone } = await invalidateAll(from, to, count, { rate });
    latencies.push(gone.times.map((time, at) => time - sent.times[at]));
  }
  const [slow, fast] = latencies;
  const before = await costsOf(redis);
  const { sent, gone } = await invalidateAll(from, to, FLOOD, {
    rate: null,
  });
  const after = await costsOf(redis);
  const time = percentile(gone.times, 100) - sent.times[0];
  return {
    slow: percentile(slow, 50),
    fast: percentile(fast, 50),
    fast99: percentile(fast, 99),
    rate: (FLOOD / time) * 1e6,
    publisher: sent.cpu / FLOOD,
    receiver: gone.cpu / FLOOD,
    redis: ((after.seconds - before.seconds) * 1e6) / FLOOD,
    bytes: (after.bytes - before.bytes) / FLOOD,
  };
}

/**
 * Runs `run` with two processes of each kind, in turn.
 *
 * @param run takes the processes, a client of Redis and the kind
 */
export async function betweenPeers(url, rounds, kinds, run) {
  const redis = await startRaw(url);
  const processes = [];
  const contestants = {};
  for (const kind of kinds) {
    const pair = {
      from: await startPeer(kind, url),
      to: await startPeer(kind, url),
    };
    processes.push(pair.from, pair.to);
    contestants[kind] = () => run(pair, redis, kind);
  }
  const result = await interleaved(rounds, contestants);
  for (const peer of processes) {
    peer.disconnect();
    await once(peer, 'exit');
  }
  redis.disconnect();
  return result;
}

async function startPeer(kind, url) {
  const child = fork(new URL('peer.process.mjs', import.meta.url), [kind, url]);
  await once(child, 'message');
  return child;
}

/** @param how `rate`, a second, or `null` for as many as possible; or `burst`, a tick */
export async function invalidateAll(from, to, count, how) {
  to.send({ fill: count, ...how });
  await once(to, 'message');
  const answers = Promise.all([once(from, 'message'), once(to, 'message')]);
  from.send({ publish: count, ...how });
  const [[sent], [gone]] = await answers;
  return { sent, gone };
}

/** CPU time in seconds, and bytes that Redis has sent. */
export async function costsOf(redis) {
  const info = await redis.info();
  const figure = (name) =>
    Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)[1]);
  return {
    seconds: figure('used_cpu_sys') + figure('used_cpu_user'),
    bytes: figure('total_net_output_bytes'),
  };
}
