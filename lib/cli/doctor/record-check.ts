import { JOURNAL_START } from '../../message/index.js';
import {
  JournalPager,
  RedisRelayRecord,
  relayKey,
  type JournalEntry,
} from '../../transport/index.js';
import { showDuration } from '../duration.js';
import { millisecondsOf } from '../journal-time.js';
import { readMessage } from '../received-message.js';
import { LEAST_KEPT, type RedisLink } from '../redis-link.js';
import { visible } from '../visible.js';
import { together, warn, type Finding } from './finding.js';
import type { SourceView } from './source-view.js';

/** Milliseconds that a relay may be behind. @internal */
export const LATE_MS = 30_000;
/** Messages behind the record that are counted. */
const MOST_COUNTED = 10_000;

/** Judges the record of a relay by its place in the journal of the source. @internal */
export async function checkRecord(
  source: SourceView,
  local: RedisLink,
): Promise<Finding> {
  const { name } = source;
  const { place, foreign } = await recordOf(source, local).read();
  const { offset } = place;
  if (offset === null) {
    return warn(
      `none: nothing of ${name} was forwarded yet`,
      'A relay begins it, and evicts everything once.',
    );
  }
  const { isKept, behind, span } = await distance(await source.link(), offset);
  const where = `at ${visible(offset)}`;
  const findings: Finding[] = [];
  if (!isKept) {
    findings.push(
      warn(
        `${where}, which the journal of ${name} does not have any more: the next relay evicts everything once`,
        `Keep a relay running, or a longer journal in ${name} (journal.maxLength).`,
      ),
    );
  } else if (span > LATE_MS) {
    findings.push(
      warn(
        `${where}, ${behindBy(behind, span)}`,
        'See whether a relay runs, and what its log says.',
      ),
    );
  }
  if (foreign) {
    const key = relayKey(local.target.channel, name);
    findings.push(
      warn(
        `a publisher without a journal was heard in ${name}: each reconnect evicts everything`,
        `Switch its journal on, then HDEL ${visible(key)} foreign.`,
      ),
    );
  }
  return together(
    findings,
    behind === 0
      ? `${where}, the end of the journal of ${name}`
      : `${where}, ${behindBy(behind, span)}`,
  );
}

function behindBy(messages: number, span: number): string {
  const count = messages > MOST_COUNTED ? `over ${MOST_COUNTED}` : messages;
  return `${count} messages and ${showDuration(span)} behind`;
}

/** Messages after an offset, the time from the first to the last one, and whether its own entry is there. */
async function distance(
  link: RedisLink,
  offset: string,
): Promise<{ isKept: boolean; behind: number; span: number }> {
  const pager = new JournalPager((from, count) =>
    link.within('a reading of the journal', link.journal.read(from, count)),
  );
  let behind = 0;
  let isKept: boolean | null = null;
  let first: string | null = null;
  let last = offset;
  for await (const { entries } of pager.pages(offset)) {
    const [entry] = entries;
    if (entry !== undefined) {
      isKept ??=
        offset === JOURNAL_START ? isFirst(entry) : entry.offset === offset;
    }
    const later = entries.filter((each) => each.offset !== last);
    first ??= later[0]?.offset ?? null;
    last = later.at(-1)?.offset ?? last;
    behind += later.length;
    if (behind > MOST_COUNTED) break;
  }
  return {
    isKept: isKept ?? offset === JOURNAL_START,
    behind,
    span: first === null ? 0 : millisecondsOf(last) - millisecondsOf(first),
  };
}

/** Whether nothing was in the journal before an entry. */
function isFirst({ payload }: JournalEntry): boolean {
  return readMessage(payload, true).message?.previous === JOURNAL_START;
}

/** A record that is only read. @internal */
export function recordOf(
  { name }: SourceView,
  link: RedisLink,
): RedisRelayRecord {
  const { channel, sharded } = link.target;
  return new RedisRelayRecord(
    link.client,
    { channel, sharded, maxLength: LEAST_KEPT },
    name,
    '',
    null,
    (answer) => link.within('a query of the record', answer),
  );
}
