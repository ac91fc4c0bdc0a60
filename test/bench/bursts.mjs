import { startRaw } from './apps.mjs';
import { interleaved, perSecond, us } from './measure.mjs';
import { costsOf, invalidateAll, startPeer, stopPeers } from './peers.mjs';

const KINDS = ['ours', 'ours, coalesce'];
const KEYS = 200_000;
const BURST = 1_000;

/** Many single keys that one tick publishes, with the option `coalesce` and without. */
export async function bursts(url, rounds) {
  const redis = await startRaw(url);
  const pairs = {};
  for (const kind of KINDS) {
    pairs[kind] = {
      kind,
      from: await startPeer(kind, url),
      to: await startPeer(kind, url),
    };
  }
  const result = await interleaved(
    rounds,
    Object.fromEntries(
      KINDS.map((kind) => [kind, () => run(pairs[kind], redis)]),
    ),
  );
  for (const { from, to } of Object.values(pairs)) await stopPeers(from, to);
  redis.disconnect();
  return {
    title: 'Bursts of single keys',
    note: `${KEYS.toLocaleString('en-US')} keys, ${BURST.toLocaleString('en-US')} calls of \`invalidate()\` a tick and four such bursts in flight, until the last key has left the map that is bound in another process. The journal is measured by \`MEMORY USAGE\` and holds about 50,000 messages.`,
    columns: [
      'keys/s',
      'CPU of publisher a key',
      'of receiver',
      'of Redis',
      'bytes of the journal a key',
    ],
    rows: Object.entries(result).map(([kind, each]) => [
      kind,
      perSecond(each.rate),
      us(each.publisher),
      us(each.receiver),
      us(each.redis),
      Math.round(each.journal).toString(),
    ]),
  };
}

async function run({ kind, from, to }, redis) {
  const journal = `{bench:peer:${kind}}:journal`;
  const before = await costsOf(redis);
  const { sent, gone } = await invalidateAll(from, to, KEYS, { burst: BURST });
  const after = await costsOf(redis);
  const length = await redis.xlen(journal);
  const bytes = await redis.call('MEMORY', 'USAGE', journal, 'SAMPLES', 0);
  const keysOfMessage = kind === 'ours' ? 1 : BURST;
  return {
    rate:
      (KEYS /
        (Math.max(...gone.times.filter(Number.isFinite)) - sent.times[0])) *
      1e6,
    publisher: sent.cpu / KEYS,
    receiver: gone.cpu / KEYS,
    redis: ((after.seconds - before.seconds) * 1e6) / KEYS,
    journal: bytes / (length * keysOfMessage),
  };
}
