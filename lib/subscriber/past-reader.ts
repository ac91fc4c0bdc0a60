import { sizeOf } from '../message/index.js';
import {
  JournalPager,
  type InvalidationTransport,
} from '../transport/index.js';
import { decodeEntry, type JournaledMessage } from './journal-reader.js';

/** Cache keys of all messages together: fences remember no more. */
const MOST_KEYS = 50_000;
/** Bytes that the messages may take in memory. */
const MOST_BYTES = 33_554_432;

/**
 * Messages of the journal up to an offset, as many of the last ones as form a chain
 * and the bounds allow. Empty if the journal does not hold the offset.
 *
 * @internal
 */
export async function readPast(
  transport: InvalidationTransport,
  upTo: string,
  maxBytes: number,
): Promise<JournaledMessage[]> {
  const pager = new JournalPager((from, count) =>
    transport.readJournal(from, count),
  );
  let past: JournaledMessage[] = [];
  for await (const { entries } of pager.pages('-')) {
    for (const entry of entries) {
      const message = decodeEntry(entry, maxBytes);
      if (message === null) past = [];
      else if (message.offset !== past.at(-1)?.offset) {
        if (message.previous !== past.at(-1)?.offset) past = [];
        past.push(message);
      }
      if (message?.offset === upTo) return endOf(past);
    }
    past = endOf(past);
  }
  return [];
}

/** The last messages, as many as the bounds allow. */
function endOf(past: JournaledMessage[]): JournaledMessage[] {
  let keys = 0;
  let bytes = 0;
  let from = past.length;
  while (from > 0) {
    const message = past[from - 1]!;
    keys += message.entityIds?.length ?? 1;
    bytes += sizeOf(message);
    if (keys > MOST_KEYS || bytes > MOST_BYTES) return past.slice(from);
    from--;
  }
  return past;
}
