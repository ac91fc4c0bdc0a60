import { sizeOf } from '../message/index.js';
import type { InvalidationTransport } from '../transport/index.js';
import {
  decodeEntry,
  FIRST_PAGE,
  nextCount,
  type JournaledMessage,
} from './journal-reader.js';

/** Keys of all messages: fences remember no more of them, and note them at once. */
const KEYS = 50_000;
/** Bytes that the messages may take in memory. */
const BYTES = 33_554_432;

/**
 * Reads the journal back from an offset, as far as each message names the one
 * before it and the bounds allow. Empty if the journal does not hold the offset.
 *
 * @internal
 */
export async function readPast(
  transport: InvalidationTransport,
  upTo: string,
  maxBytes: number,
): Promise<JournaledMessage[]> {
  let past: JournaledMessage[] = [];
  let from = '-';
  let count = FIRST_PAGE;
  for (;;) {
    const entries = await transport.readJournal(from, count);
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
    if (entries.length < count) return [];
    from = entries.at(-1)!.offset;
    count = nextCount(entries);
  }
}

/** Its last messages, as many as are of use. */
function endOf(past: JournaledMessage[]): JournaledMessage[] {
  let keys = 0;
  let bytes = 0;
  let from = past.length;
  while (from > 0) {
    const message = past[from - 1]!;
    keys += message.entityIds?.length ?? 1;
    bytes += sizeOf(message);
    if (keys > KEYS || bytes > BYTES) return past.slice(from);
    from--;
  }
  return past;
}
