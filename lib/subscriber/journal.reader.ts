import { decodeMessage, type InvalidationMessage } from '../message/index.js';
import type { Journaled } from '../stream/index.js';
import type {
  InvalidationTransport,
  JournalEntry,
} from '../transport/index.js';
import type { Deadlines } from './deadlines.js';

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
