import { Option } from 'commander';
import { parseCount, parseDuration } from './duration.js';
import { offsetAt, serverTime } from './journal-time.js';
import type { RedisLink } from './redis-link.js';
import { UsageError } from './usage.error.js';

/** Messages that one reply of Redis may hold. */
const MOST_LAST = 10_000;

/** @internal */
export interface BacklogValues {
  readonly since?: string;
  readonly last?: string;
}

/** @internal */
export const backlogOptions = (): Option[] => [
  new Option(
    '--since <time>',
    'begin with the messages of the last 5m, 2h, … in the journal',
  ),
  new Option('--last <n>', 'begin with the last N messages of the journal'),
];

/**
 * Returns a function for the offset from which to show the journal; it resolves to
 * `null` if there is nothing to show.
 *
 * @internal
 */
export function backlogFrom({
  since,
  last,
}: BacklogValues): (link: RedisLink) => Promise<string | null> {
  if (since !== undefined && last !== undefined) {
    throw new UsageError(
      '--since and --last exclude each other.',
      'Give one of them.',
    );
  }
  if (last !== undefined) {
    const count = parseCount('last', last, MOST_LAST);
    return (link) => beginOfLast(link, count);
  }
  if (since === undefined) return () => Promise.resolve(null);
  const ms = parseDuration('since', since);
  return async (link) => offsetAt((await serverTime(link)) - ms);
}

async function beginOfLast(
  link: RedisLink,
  count: number,
): Promise<string | null> {
  const { client, journal } = link;
  const entries = await link.within(
    'a reading of the journal',
    client.xrevrange(journal.key, '+', '-', 'COUNT', count),
  );
  return entries.at(-1)?.[0] ?? null;
}
