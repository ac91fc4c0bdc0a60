import { decodeMessage, type InvalidationMessage } from '../message/index.js';
import type { Journaled } from '../stream/index.js';
import type {
  InvalidationTransport,
  JournalEntry,
} from '../transport/index.js';
import { RedisAnswers } from './redis-answers.js';

/** @internal */
export type JournaledMessage = InvalidationMessage & Journaled;

/**
 * Reads the journal, each answer within a deadline.
 *
 * @internal
 */
export class JournalReader {
  readonly #answers: RedisAnswers;

  /** @param timeout how long Redis may take to answer, in milliseconds */
  constructor(
    private readonly transport: InvalidationTransport,
    timeout: number,
    private readonly what = 'a reading of the journal',
  ) {
    this.#answers = new RedisAnswers(timeout);
  }

  read(from: string, count: number): Promise<JournalEntry[]> {
    return this.#within(this.transport.readJournal(from, count));
  }

  tail(): Promise<string> {
    return this.#within(this.transport.journalTail());
  }

  /** Whether the journal has an entry at this offset. */
  async has(offset: string): Promise<boolean> {
    const [entry] = await this.read(offset, 1);
    return entry?.offset === offset;
  }

  /** Asks the subscription, whose answer comes after all that was published before. */
  ping(): Promise<void> {
    return this.#answers.within('a PING', this.transport.ping());
  }

  /** Rejects if Redis does not take commands in time; ended by `cancel()` when it does. */
  async writable(): Promise<void> {
    if (this.transport.writable) return;
    await this.#answers.within('a connection', new Promise(() => undefined));
  }

  /** Rejects whatever is waited for. */
  cancel(): void {
    this.#answers.cancel();
  }

  #within<T>(answer: Promise<T>): Promise<T> {
    return this.#answers.within(this.what, answer);
  }
}

/**
 * @returns `null` for an entry that the publish script has not written, or that is
 * larger than any message may be
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

/** The messages of a page, up to the first entry that holds none. @internal */
export function decodeEntries(
  entries: readonly JournalEntry[],
  maxBytes: number,
): JournaledMessage[] {
  const messages: JournaledMessage[] = [];
  for (const entry of entries) {
    const message = decodeEntry(entry, maxBytes);
    if (message === null) break;
    messages.push(message);
  }
  return messages;
}
