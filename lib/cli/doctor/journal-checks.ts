import {
  JOURNAL_START,
  type InvalidationMessage,
} from '../../message/index.js';
import { showDuration } from '../duration.js';
import { readMessage } from '../received-message.js';
import { journalState } from '../journal-state.js';
import { millisecondsOf, serverTime } from '../journal-time.js';
import type { RedisLink } from '../redis-link.js';
import { visible } from '../visible.js';
import { fail, ok, warn, type Check, type Finding } from './finding.js';
import { showBytes } from './memory-checks.js';

/** Entries at the journal's end that are examined. */
const SAMPLE = 1_000;
/** A journal should cover a failover and a deployment. */
const LEAST_COVERED_MS = 5 * 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const NO_JOURNAL = warn(
  'none: with journal: false every reconnect evicts everything',
  'Publish something, and check the channel; or leave the journal on.',
);

/** @internal */
export const JOURNAL_CHECKS: readonly Check[] = [
  {
    name: 'journal',
    async run(link) {
      const state = await journalState(link).catch((error: Error) => {
        if (error.message.startsWith('WRONGTYPE')) return 'no stream' as const;
        throw error;
      });
      if (state === 'no stream') {
        return fail(
          `${link.journal.key} is a key of another program`,
          'Rename it, or take another channel.',
        );
      }
      const now = await serverTime(link);
      const end = state?.highest ?? state?.newest ?? JOURNAL_START;
      if (millisecondsOf(end) > now + DAY_MS) return endsAhead(link, end);
      if (state === null || state.oldest === null || state.newest === null) {
        return NO_JOURNAL;
      }
      const { length, oldest, newest } = state;
      const size = await sizeOf(link);
      const message = `${length} messages${size}, from ${age(now, oldest)} to ${age(now, newest)} ago`;
      if (!(await isTrimmed(link))) {
        return ok(`${message}; none was trimmed yet`);
      }
      const perMs = await presentRate(link, now);
      const covered = length / perMs;
      const outage = `${message}; an outage of ${showDuration(covered)} is covered at the present rate`;
      return covered >= LEAST_COVERED_MS
        ? ok(outage)
        : warn(
            outage,
            `For an hour set journal: { maxLength: ${Math.ceil(perMs * HOUR_MS)} } in every service.`,
          );
    },
  },
  {
    name: 'journal chain',
    async run(link) {
      const entries = await lastEntries(link);
      if (entries.length === 0) return NO_JOURNAL;
      const foreign = entries.filter(({ message }) => message === null).length;
      if (foreign > 0) {
        return warn(
          `${foreign} of the last ${entries.length} entries are not the library's`,
          `Another program writes to ${link.journal.key}: readers that resume before it evict everything.`,
        );
      }
      const broken = entries.filter(
        ({ message }, at) =>
          at > 0 && message!.previous !== entries[at - 1]!.offset,
      ).length;
      return broken === 0
        ? ok(`unbroken over the last ${entries.length}`)
        : warn(
            `${broken} breaks in the last ${entries.length}: readers that resume before one evict everything`,
            'Some program deletes entries (XDEL, XTRIM), or a failover lost some. If it goes on, find that program.',
          );
    },
  },
];

function endsAhead({ journal }: RedisLink, end: string): Finding {
  return fail(
    `it ends at ${end}, more than a day ahead of the server's clock: nothing is journaled behind that`,
    `Check the server's clock; if it is right, DEL ${visible(journal.key)}: readers evict everything once.`,
  );
}

/** An entry of the journal. @internal */
export interface Entry {
  readonly offset: string;
  readonly payload: string;
  /** `null` if the publish script did not write the entry. */
  readonly message: InvalidationMessage | null;
}

/** The last entries of the journal, in order. @internal */
export async function lastEntries(link: RedisLink): Promise<Entry[]> {
  const { client, journal } = link;
  const entries = await link.within(
    'a reading of the journal',
    client.xrevrange(journal.key, '+', '-', 'COUNT', SAMPLE),
  );
  return entries.toReversed().map(([offset, [, payload = '']]) => {
    const { message } = readMessage(payload, true);
    const isOurs = message?.offset === offset;
    return { offset, payload, message: isOurs ? message : null };
  });
}

async function isTrimmed(link: RedisLink): Promise<boolean> {
  const [first] = await link.within(
    'a reading of the journal',
    link.journal.read('-', 1),
  );
  const { message } = readMessage(first?.payload ?? '', true);
  return message?.previous !== JOURNAL_START;
}

/** Messages per millisecond. */
async function presentRate(link: RedisLink, now: number): Promise<number> {
  const entries = await lastEntries(link);
  const since = millisecondsOf(entries[0]?.offset ?? JOURNAL_START);
  return entries.length / Math.max(1, now - since);
}

/** Memory of the journal; empty if MEMORY USAGE is not allowed. */
async function sizeOf(link: RedisLink): Promise<string> {
  const { client, journal } = link;
  const bytes = await link
    .within('MEMORY USAGE', client.memory('USAGE', journal.key))
    .catch(() => null);
  return bytes === null ? '' : ` in ${showBytes(bytes)}`;
}

function age(now: number, offset: string): string {
  return showDuration(Math.max(0, now - millisecondsOf(offset)));
}
