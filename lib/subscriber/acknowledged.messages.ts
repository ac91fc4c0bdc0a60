import { InvalidationRedisError } from '../errors/index.js';
import { compareOffsets } from '../message/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import type { ErrorReporter } from '../stream/index.js';
import type { JournalReader } from './journal.reader.js';

/** Own messages to look for in the journal; beyond it, "everything". */
const DOUBTFUL_LIMIT = 100;

/** @internal */
export interface AcknowledgedMessagesContext {
  readonly publisher: InvalidationPublisher;
  readonly errors: ErrorReporter;
}

/**
 * Own messages that Redis took, and may have lost since: in a failover or a
 * restart the journal can lose its end, which whoever was away cannot notice.
 *
 * @internal
 */
export class AcknowledgedMessages {
  /** The journal has lost something, or may have. */
  #broken = false;
  /** The last own message that came back over the channel, or was replayed. */
  #echo: string | null = null;
  /** The last own message that was judged. */
  #confirmed: string | null = null;
  /** Acknowledged before a connection was lost: by another server, perhaps. */
  readonly #acked = new Set<string>();

  constructor(
    private readonly journal: JournalReader,
    private readonly context: AcknowledgedMessagesContext,
  ) {}

  /** An own message was heard at this offset. */
  echoed(offset: string): void {
    this.#echo = offset;
  }

  /** Marks earlier acknowledged messages as doubtful: the journal may have lost them. */
  journalBroke(): void {
    this.#broken = true;
  }

  /** The next answer may come from a server that never had the last one. */
  doubt(): void {
    const { lastOffset } = this.context.publisher;
    if (lastOffset === null || this.#acked.size > DOUBTFUL_LIMIT) return;
    this.#acked.add(lastOffset);
  }

  /**
   * Whether the journal still has the own messages that Redis took. If it lost
   * them, in a failover or a restart, others may have missed what nobody can
   * replay to them. A doubtful message that is not there counts as lost: that it
   * was only trimmed away cannot be told from outside.
   *
   * @param acked the offset of the last one, as of before the journal was read
   * @param began a position that was found in the journal, from which on nothing
   * was missed; `null` if there was none
   */
  async confirm(acked: string | null, began: string | null): Promise<void> {
    if (acked === null) return;
    const doubtful = this.#doubtful(acked, began);
    let lost = doubtful.length > DOUBTFUL_LIMIT;
    for (const offset of doubtful) lost ||= !(await this.#has(offset));
    this.#broken = false;
    this.#acked.clear();
    this.#echo = acked;
    this.#confirmed = acked;
    if (!lost) return;
    this.context.errors.report(
      new InvalidationRedisError(
        'Redis may have lost invalidations that it had taken, in a failover or a restart.',
        'Every instance is told to evict everything in their place.',
      ),
    );
    this.context.publisher
      .publishEverything()
      // Only when it shuts down: then its siblings are left to say so.
      .catch(() => undefined);
  }

  /** A later one says nothing of an earlier one, if the server is another. */
  #doubtful(acked: string, began: string | null): string[] {
    const all = new Set(this.#acked);
    if (this.#broken || acked !== this.#confirmed) all.add(acked);
    if (this.#broken && this.#echo !== null) all.add(this.#echo);
    return [...all].filter((offset) => !this.#isBefore(offset, began));
  }

  /** Whether it came back on the way to a position that the journal still has. */
  #isBefore(offset: string, began: string | null): boolean {
    return (
      !this.#broken &&
      this.#echo !== null &&
      compareOffsets(offset, this.#echo) <= 0 &&
      began !== null &&
      compareOffsets(offset, began) <= 0
    );
  }

  async #has(offset: string): Promise<boolean> {
    const [there] = await this.journal.read(offset, 1);
    return there?.offset === offset;
  }
}
