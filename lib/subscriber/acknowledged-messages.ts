import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { InvalidationRedisError } from '../errors/index.js';
import { compareOffsets } from '../message/index.js';
import { ErrorReporter, PublishProgress } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { JournalReader } from './journal-reader.js';

/** Own messages to look for in the journal; beyond it, "everything". */
const DOUBTFUL_LIMIT = 100;

/**
 * Own messages that Redis took, and may have lost since: in a failover or a
 * restart the journal can lose its end, which instances that were away cannot
 * notice.
 *
 * @internal
 */
@Injectable()
export class AcknowledgedMessages {
  readonly #journal: JournalReader;
  /** Set while the journal has lost entries, or may have. */
  #broken = false;
  /** Offset of the last own message that was received over the channel, or replayed. */
  #echo: string | null = null;
  /** Offset of the last own message that was confirmed. */
  #confirmed: string | null = null;
  /** Offsets that were acknowledged before a connection was lost, perhaps by another server. */
  readonly #acked = new Set<string>();

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    options: { readonly heartbeatTimeout: number },
    transport: InvalidationTransport,
    private readonly progress: PublishProgress,
    private readonly errors: ErrorReporter,
  ) {
    this.#journal = new JournalReader(transport, options.heartbeatTimeout);
  }

  /** An own message was received at this offset. */
  echoed(offset: string): void {
    this.#echo = offset;
  }

  /** Marks earlier acknowledged messages as doubtful: the journal may have lost them. */
  journalBroke(): void {
    this.#broken = true;
  }

  /** Marks the last one as doubtful: the next answer may come from another server. */
  doubt(): void {
    const { lastOffset } = this.progress;
    if (lastOffset === null || this.#acked.size > DOUBTFUL_LIMIT) return;
    this.#acked.add(lastOffset);
  }

  /** Rejects a `confirm` under way: its answers are of no use any more. */
  cancel(): void {
    this.#journal.cancel();
  }

  /**
   * Looks in the journal for the own messages that Redis took. If it lost them, in
   * a failover or a restart, other instances may have missed messages that cannot be
   * replayed to them. A doubtful message that is not there counts as lost: that
   * it was only trimmed away cannot be told from outside.
   *
   * @param acked offset of the last one, as of before the journal was read
   * @param began a position that was found in the journal, from which on nothing
   * was missed; `null` if there was none
   * @returns whether messages may be lost, so that "everything" must be published
   */
  async confirm(acked: string | null, began: string | null): Promise<boolean> {
    if (acked === null) return false;
    const doubtful = this.#doubtful(acked, began);
    let lost = doubtful.length > DOUBTFUL_LIMIT;
    for (const offset of doubtful) lost ||= !(await this.#journal.has(offset));
    this.#broken = false;
    this.#acked.clear();
    this.#echo = acked;
    this.#confirmed = acked;
    if (!lost) return false;
    this.errors.report(
      new InvalidationRedisError(
        'Redis may have lost invalidations that it had accepted, in a failover or a restart.',
        'Every instance evicts everything instead.',
      ),
    );
    return true;
  }

  /** On another server, a later message proves nothing about an earlier one. */
  #doubtful(acked: string, began: string | null): string[] {
    const all = new Set(this.#acked);
    if (this.#broken || acked !== this.#confirmed) all.add(acked);
    if (this.#broken && this.#echo !== null) all.add(this.#echo);
    return [...all].filter((offset) => !this.#isBefore(offset, began));
  }

  /** Whether the message came back on the way to a position that the journal still has. */
  #isBefore(offset: string, began: string | null): boolean {
    return (
      !this.#broken &&
      this.#echo !== null &&
      compareOffsets(offset, this.#echo) <= 0 &&
      began !== null &&
      compareOffsets(offset, began) <= 0
    );
  }
}
