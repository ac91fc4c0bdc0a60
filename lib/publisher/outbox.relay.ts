import { createHash } from 'node:crypto';
import { CallbackFailedError } from '../errors/index.js';
import { decodeMessage, type InvalidationMessage } from '../message/index.js';
import type { ErrorReporter } from '../stream/index.js';
import type { DurableOutbox } from './durable.outbox.js';

const PAGE = 1_000;
/** The application's database has so long to answer. */
const ANSWER_MS = 30_000;
/** Rows that stay, which are remembered; then they are handled once more. */
const STAYING_LIMIT = 10_000;

/** The messages made of one row. */
interface Row {
  readonly messageId: string;
  /** Those of its messages of which it is not known what becomes of them. */
  readonly awaited: Set<string>;
  /** Whether Redis has all the others. */
  complete: boolean;
}

/** Milliseconds in which the instance that stored a row may send it by itself. */
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
  /** Rows handed on, by the messages that say them: what follows, too. */
  readonly #underWay = new Map<string, Row>();
  /** Redis has them, but they could not be removed. */
  readonly #staying = new Set<string>();
  /** Hashes of texts that are no message, which were made up for. */
  readonly #unreadable = new Set<string>();
  #owesAll = false;

  constructor(
    private readonly outbox: DurableOutbox,
    /**
     * Sends, unless the journal has it already, tells this instance, and expects
     * it.
     *
     * @returns whether it could be done now
     */
    private readonly resend: (
      messages: readonly InvalidationMessage[],
    ) => boolean,
    /** Says "everything", in the place of what cannot be read. */
    private readonly widen: () => void,
    private readonly errors: ErrorReporter,
  ) {}

  /**
   * This one is on its way; its row must stay until it has arrived, and all that
   * follows from it.
   */
  expect(messageId: string, following: readonly string[] = []): void {
    const awaited = new Set([messageId, ...following]);
    const row = { messageId, awaited, complete: true };
    for (const id of awaited) this.#underWay.set(id, row);
  }

  /** Sends what was left behind. One page at a time, and never two sweeps. */
  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    // A row may be sent by its own instance while the table is read.
    const underWay = new Set(this.#underWay.keys());
    try {
      const found = (await this.#pending())
        .flatMap((text) => this.#read(text) ?? [])
        .filter(
          ({ messageId: id }) => !underWay.has(id) && !this.#underWay.has(id),
        );
      if (this.#owesAll) this.widen();
      this.#owesAll = false;
      const staying = found.filter(({ messageId: id }) =>
        this.#staying.has(id),
      );
      if (staying.length > 0) {
        void this.#remove(staying.map(({ messageId }) => messageId));
      }
      const left = found.filter(({ messageId: id }) => !this.#staying.has(id));
      if (left.length > 0) this.resend(left);
    } catch (cause) {
      this.#report('could not be read', cause, TRIED_AGAIN);
    } finally {
      this.#sweeping = false;
    }
  }

  /** Redis has these messages; some of them may be stored. */
  sent(messageIds: readonly string[]): void {
    const stored = messageIds.flatMap((id) => this.#settle(id, true) ?? []);
    if (stored.length > 0) void this.#remove(stored);
  }

  /** It will not be sent, for another says it too: its row is swept later. */
  replaced(messageId: string): void {
    this.#settle(messageId, false);
  }

  /** @returns the id of its row, if Redis has all that the row entails */
  #settle(messageId: string, sent: boolean): string | null {
    const row = this.#underWay.get(messageId);
    if (row === undefined) return null;
    row.awaited.delete(messageId);
    row.complete &&= sent;
    if (messageId !== row.messageId) this.#underWay.delete(messageId);
    if (row.awaited.size > 0) return null;
    this.#underWay.delete(row.messageId);
    return row.complete ? row.messageId : null;
  }

  /** A page beyond what is known to stay, within a deadline. */
  async #pending(): Promise<readonly string[]> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`It has not answered for ${ANSWER_MS} ms.`));
      }, ANSWER_MS);
      // A process that ends need not wait for it.
      timer.unref();
    });
    const limit = PAGE + this.#staying.size + this.#unreadable.size;
    try {
      return await Promise.race([
        this.outbox.pending({ limit, olderThan: GRACE_MS }),
        late,
      ]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** `null` for what the application has not stored as it was given. */
  #read(text: string): InvalidationMessage | null {
    try {
      return decodeMessage(text, Infinity);
    } catch (cause) {
      const hash = createHash('sha1')
        .update(JSON.stringify(text) ?? '')
        .digest('hex');
      if (this.#unreadable.has(hash)) return null;
      remember(this.#unreadable, hash);
      this.#owesAll = true;
      this.#report(
        'holds a text that is no message',
        cause,
        'Everything was invalidated in its place. Look for a column that is too short, and delete the row.',
      );
      return null;
    }
  }

  async #remove(messageIds: readonly string[]): Promise<void> {
    for (const id of messageIds) remember(this.#staying, id);
    try {
      await this.outbox.remove(messageIds);
      for (const id of messageIds) this.#staying.delete(id);
    } catch (cause) {
      this.#report('could not be emptied of what was sent', cause, TRIED_AGAIN);
    }
  }

  #report(what: string, cause: unknown, advice: string): void {
    this.errors.report(
      new CallbackFailedError('The durable outbox', what, advice, cause),
      'durable-outbox',
    );
  }
}

function remember(some: Set<string>, one: string): void {
  if (some.size >= STAYING_LIMIT) some.clear();
  some.add(one);
}
