import { decodeMessage, type InvalidationMessage } from '../message/index.js';
import type { Journaled } from '../stream/index.js';
import type {
  InvalidationTransport,
  JournalEntry,
} from '../transport/index.js';
import type { Deadlines } from './deadlines.js';

/** Entries in one reading: at first, while their size is unknown. @internal */
export const FIRST_PAGE = 16;
/** At most. */
const PAGE = 1_000;
/** Characters that one reading should hold. */
const PAGE_SIZE = 1_048_576;

/** @internal */
export type JournaledMessage = InvalidationMessage & Journaled;

/**
 * The journal, each answer within its deadline.
 *
 * @internal
 */
export class JournalReader {
  constructor(
    private readonly transport: InvalidationTransport,
    private readonly deadlines: Deadlines,
  ) {}

  read(from: string, count: number): Promise<JournalEntry[]> {
    return this.deadlines.within(
      'a reading of the journal',
      this.transport.readJournal(from, count),
    );
  }

  tail(): Promise<string> {
    return this.deadlines.within(
      'a reading of the journal',
      this.transport.journalTail(),
    );
  }
}

/**
 * `null` for what was not written by the publish script, or is larger than any
 * message may be.
 *
 * @internal
 */
export function decodeEntry(
  { offset, payload }: JournalEntry,
  maxBytes: number,
): JournaledMessage | null {
  try {
    const message = decodeMessage(payload, maxBytes);
    return message.offset === offset ? (message as JournaledMessage) : null;
  } catch {
    return null;
  }
}

/** As many as fit, going by the size of those before. @internal */
export function nextCount(entries: readonly JournalEntry[]): number {
  const size = entries.reduce((sum, { payload }) => sum + payload.length, 0);
  const fit = Math.floor((PAGE_SIZE * entries.length) / Math.max(1, size));
  return Math.max(2, Math.min(PAGE, fit));
}
