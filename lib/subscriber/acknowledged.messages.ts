import { InvalidationRedisError } from '../errors/index.js';
import { compareOffsets, JOURNAL_START } from '../message/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import type { ErrorReporter } from '../stream/index.js';
import { decodeEntry, type JournalReader } from './journal.reader.js';

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

  /** What was acknowledged before may be missing from the journal. */
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
   * Whether the journal still has the last own message that Redis took. If it
   * lost its end, in a failover or a restart, others may have missed what nobody
   * can replay to them.
   *
   * @param acked its offset, as of before the journal was read
   */
  async confirm(acked: string | null): Promise<void> {
    if (acked === null) return;
    const doubtful = this.#doubtful(acked);
    if (doubtful.size === 0) return;
    let lost = doubtful.size > DOUBTFUL_LIMIT;
    for (const offset of doubtful) lost ||= !(await this.#has(offset));
    this.#broken = false;
    this.#acked.clear();
    this.#echo = acked;
    if (!lost) return;
    this.context.errors.report(
      new InvalidationRedisError(
        'Redis has lost invalidations that it had taken, in a failover or a restart.',
        'Every instance is told to evict everything in their place.',
      ),
    );
    this.context.publisher
      .publishEverything()
      // Only when it shuts down: then its siblings are left to say so.
      .catch(() => undefined);
  }

  /** A later one says nothing of an earlier one, if the server is another. */
  #doubtful(acked: string): Set<string> {
    const doubtful = new Set(this.#acked);
    if (this.#broken && this.#echo !== null) doubtful.add(this.#echo);
    const heard = this.#echo !== null && compareOffsets(acked, this.#echo) <= 0;
    if (!heard || this.#broken) doubtful.add(acked);
    return doubtful;
  }

  /** Also if it was only trimmed away. */
  async #has(offset: string): Promise<boolean> {
    const [there] = await this.journal.read(offset, 1);
    if (there?.offset === offset) return true;
    const [first] = await this.journal.read('-', 1);
    if (first === undefined || compareOffsets(first.offset, offset) < 0) {
      return false;
    }
    // A journal that begins anew has not been trimmed.
    return decodeEntry(first)?.previous !== JOURNAL_START;
  }
}
