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

const TRIED_AGAIN =
  'It is tried again with the next heartbeat; nothing is lost.';

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
    /**
     * Sends, unless the journal has it already, and tells this instance.
     *
     * @returns whether it could be done now
     */
    private readonly resend: (
      messages: readonly InvalidationMessage[],
    ) => boolean,
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
    // What is sent while the table is read may be among what was read.
    const underWay = new Set(this.#underWay);
    try {
      const texts = await this.outbox.pending({
        limit: PAGE,
        olderThan: GRACE_MS,
      });
      const left = texts
        .flatMap((text) => this.#read(text) ?? [])
        .filter(
          ({ messageId: id }) => !underWay.has(id) && !this.#underWay.has(id),
        );
      if (left.length === 0 || !this.resend(left)) return;
      for (const { messageId } of left) this.#underWay.add(messageId);
    } catch (cause) {
      this.#report('could not be read', cause, TRIED_AGAIN);
    } finally {
      this.#sweeping = false;
    }
  }

  /** Redis has these messages; some of them may be stored. */
  sent(messageIds: readonly string[]): void {
    const stored = messageIds.filter((id) => this.#underWay.delete(id));
    if (stored.length > 0) void this.#remove(stored);
  }

  /** It will not be sent, for another says it too: its row is swept later. */
  replaced(messageId: string): void {
    this.#underWay.delete(messageId);
  }

  /** `null` for what the application has not stored as it was given. */
  #read(text: string): InvalidationMessage | null {
    try {
      return decodeMessage(text, Infinity);
    } catch (cause) {
      this.#report(
        'holds a text that is no message',
        cause,
        'Look for a column that is too short; delete the row and call invalidateAll().',
      );
      return null;
    }
  }

  async #remove(messageIds: readonly string[]): Promise<void> {
    try {
      await this.outbox.remove(messageIds);
    } catch (cause) {
      this.#report('could not be emptied of what was sent', cause, TRIED_AGAIN);
    }
  }

  #report(what: string, cause: unknown, advice: string): void {
    this.errors.report(
      new HandlerFailedError('The durable outbox', what, advice, cause),
      'durable-outbox',
    );
  }
}
