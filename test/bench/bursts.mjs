import { perSecond, us } from './measure.mjs';
import { betweenPeers, costsOf, invalidateAll } from './peers.mjs';

/** Without coalescing, more would overflow the buffer of a subscriber in Redis. */
const KEYS = { ours: 40_000, 'ours, coalesce': 400_000 };
const BURST = 1_000;

/** Many single keys that one tick publishes, with the option `coalesce` and without. */
export async function bursts(url, rounds) {
  const result = await betweenPeers(url, rounds, Object.keys(KEYS), run);
  return {
    title: 'Bursts of single keys',
    note: `${Object.values(KEYS).map(perSecond).join(' and ')} keys, ${BURST.toLocaleString('en-US')} calls of \`invalidate()\` a tick and four such bursts in flight, until the last key has left the map that is bound in another process.`,
    columns: ['keys/s', 'CPU of publisher a key', 'of receiver', 'of Redis'],
    rows: Object.entries(result).map(([kind, each]) => [
      kind,
      perSecond(each.rate),
      us(each.publisher),
      us(each.receiver),
      us(each.redis),
    ]),
  };
}

async function run({ from, to }, redis, kind) {
  const keys = KEYS[kind];
  const before = await costsOf(redis);
  const { sent, gone } = await invalidateAll(from, to, keys, { burst: BURST });
  const after = await costsOf(redis);
  return {
    rate: (keys / (gone.times[0] - sent.times[0])) * 1e6,
    publisher: sent.cpu / keys,
    receiver: gone.cpu / keys,
    redis: ((after.seconds - before.seconds) * 1e6) / keys,
  };
}
