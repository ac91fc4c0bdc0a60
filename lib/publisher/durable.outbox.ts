import { HandlerFailedError } from '../errors/index.js';
import { decodeMessage, type InvalidationMessage } from '../message/index.js';
import type { ErrorReporter } from '../stream/index.js';

/** An invalidation to be written into the application's database. @publicApi */
export interface StoredInvalidation {
  /** A UUID; the key of its row. */
  readonly messageId: string;
  /** The message, to be kept as it is. */
  readonly text: string;
}

/**
 * A table of the application's own database in which invalidations are written
 * in the transaction that changes the row, so that even a killed publisher
 * loses none. The application writes what `publisher.prepare()` gives it, and
 * hands it to `publisher.publishStored()` after the commit; the library reads
 * and empties the table through this port.
 *
 * @publicApi
 */
export interface DurableOutbox {
  /**
   * The texts of what is stored, oldest first.
   *
   * @param query.limit how many at most
   * @param query.olderThan leave out what was stored in these last milliseconds:
   * another instance may be sending it
   */
  pending(query: {
    readonly limit: number;
    readonly olderThan: number;
  }): Promise<readonly string[]>;

  /** Redis has these; forget them. Unknown ids are no error. */
  remove(messageIds: readonly string[]): Promise<void>;
}

const PAGE = 1_000;

/** Whoever stored it is given this long to send it by itself. */
const GRACE_MS = 5_000;

/**
 * Sends what a publisher left behind in the durable outbox, and empties it of
 * what Redis has.
 *
 * @internal
 */
export class OutboxRelay {
  #sweeping = false;
  /** Handed on, and not known to have arrived. */
  readonly #underWay = new Set<string>();

  constructor(
    private readonly outbox: DurableOutbox,
    /** Tells this instance and sends, unless the journal has it already. */
    private readonly resend: (messages: readonly InvalidationMessage[]) => void,
    private readonly errors: ErrorReporter,
  ) {}

  /** This one is sent by the publisher that stored it. */
  expect(messageId: string): void {
    this.#underWay.add(messageId);
  }

  /** Sends what was left behind. One page at a time, and never two sweeps. */
  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      const texts = await this.outbox.pending({
        limit: PAGE,
        olderThan: GRACE_MS,
      });
      const left = texts
        .map((text) => decodeMessage(text, Infinity))
        .filter(({ messageId }) => !this.#underWay.has(messageId));
      for (const { messageId } of left) this.#underWay.add(messageId);
      if (left.length > 0) this.resend(left);
    } catch (cause) {
      this.#report('could not be read', cause);
    } finally {
      this.#sweeping = false;
    }
  }

  /** Redis has these messages; some of them may be stored. */
  sent(messageIds: readonly string[]): void {
    const stored = messageIds.filter((id) => this.#underWay.delete(id));
    if (stored.length > 0) void this.#remove(stored);
  }

  async #remove(messageIds: readonly string[]): Promise<void> {
    try {
      await this.outbox.remove(messageIds);
    } catch (cause) {
      this.#report('could not be emptied of what was sent', cause);
    }
  }

  #report(what: string, cause: unknown): void {
    this.errors.report(
      new HandlerFailedError(
        'The durable outbox',
        what,
        'It is tried again with the next heartbeat; nothing is lost.',
        cause,
      ),
      'durable-outbox',
    );
  }
}
