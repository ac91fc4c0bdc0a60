import type { InvalidationTransport } from '../transport/index.js';
import { decodeEntry, type JournaledMessage } from './journal.reader.js';

/** Entries of one answer. */
const PAGE = 1_000;

/**
 * What the journal holds up to an offset: the last part of it of which each
 * message names the one before. Empty if the journal does not hold the offset.
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
  for (;;) {
    const entries = await transport.readJournal(from, PAGE);
    for (const entry of entries) {
      const message = decodeEntry(entry, maxBytes);
      if (message === null) past = [];
      else if (message.offset !== past.at(-1)?.offset) {
        if (message.previous !== past.at(-1)?.offset) past = [];
        past.push(message);
      }
      if (message?.offset === upTo) return past;
    }
    if (entries.length < PAGE) return [];
    from = entries.at(-1)!.offset;
  }
}
