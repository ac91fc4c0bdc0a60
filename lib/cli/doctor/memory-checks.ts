import { fail, ok, warn, type Check } from './finding.js';
import { infoOf, onEach, settingOf } from './nodes.js';

const MEBIBYTE = 1_048_576;
/** Twice the largest message. */
const LEAST_BUFFER = 8 * MEBIBYTE;
const NEARLY_FULL = 0.9;

/** @internal */
export const MEMORY_CHECKS: readonly Check[] = [
  {
    name: 'memory policy',
    run: (link) =>
      onEach(link, async (node) => {
        const info = await infoOf(link, node, 'memory');
        const policy = info.get('maxmemory_policy') ?? '';
        const limit = Number(info.get('maxmemory'));
        const used = Number(info.get('used_memory'));
        const all = policy.startsWith('allkeys-');
        if (limit === 0) {
          return all
            ? warn(
                `${policy}, though without a maxmemory yet`,
                'With one, the journal is evicted like any other key: use volatile-lru or noeviction.',
              )
            : ok(`${policy}, no maxmemory`);
        }
        const message = `${policy}, ${showBytes(used)} of ${showBytes(limit)} used`;
        if (all) {
          return warn(
            `${message}: the journal may be evicted, and then readers that were away evict everything`,
            'Use volatile-lru (caches have a TTL, the journal has none), or a Redis of its own with noeviction.',
          );
        }
        if (used < limit * NEARLY_FULL) return ok(message);
        return (policy === 'noeviction' && used >= limit ? fail : warn)(
          `${message}: writes are refused when it is full (OOM)`,
          'Raise maxmemory, or give keys a TTL with volatile-lru.',
        );
      }),
  },
  {
    name: 'output buffer',
    run: (link) =>
      onEach(link, async (node) => {
        const limits = await settingOf(
          link,
          node,
          'client-output-buffer-limit',
        );
        const [, text = ''] = /pubsub (\d+ \d+ \d+)/.exec(limits) ?? [];
        const [hard = 0, soft = 0, seconds = 0] = text.split(' ').map(Number);
        if (hard === 0) {
          return warn(
            'no limit for Pub/Sub: a reader that hangs fills the memory of Redis',
            "CONFIG SET client-output-buffer-limit 'pubsub 32mb 8mb 60'",
          );
        }
        const message = `Pub/Sub ${showBytes(hard)}, or ${showBytes(soft)} for ${seconds} s`;
        return hard >= LEAST_BUFFER
          ? ok(message)
          : warn(
              `${message}: readers are cut off at a burst, and catch up from the journal`,
              "CONFIG SET client-output-buffer-limit 'pubsub 32mb 8mb 60'",
            );
      }),
  },
];

/** @internal */
export function showBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  if (bytes < MEBIBYTE) return `${(bytes / 1_024).toFixed(1)} KiB`;
  return `${(bytes / MEBIBYTE).toFixed(1)} MiB`;
}
