import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { CallbackFailedError } from '../errors/index.js';
import { ErrorReporter } from '../stream/index.js';
import type { DurableOutbox } from './durable-outbox.js';

/** Rows that could not be removed are remembered up to here; then they are sent once more. */
const STAYING_LIMIT = 10_000;

/** The messages made of one row. */
interface Row {
  readonly messageId: string;
  /** Messages whose fate is not known yet. */
  readonly awaited: Set<string>;
  /** Whether Redis has all the others. */
  complete: boolean;
}

/**
 * Rows of the durable outbox whose messages are on their way to Redis. A row is
 * removed once Redis has all of its messages, cascaded ones included.
 *
 * @internal
 */
@Injectable()
export class StoredRows {
  /** By the id of each of their messages. */
  readonly #underWay = new Map<string, Row>();
  /** Ids of rows that Redis has, and that could not be removed. */
  readonly #staying = new Set<string>();
  readonly #outbox: DurableOutbox | undefined;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    options: { readonly durableOutbox?: DurableOutbox | undefined },
    private readonly errors: ErrorReporter,
  ) {
    this.#outbox = options.durableOutbox;
  }

  /** Whether the application has a durable outbox. */
  get used(): boolean {
    return this.#outbox !== undefined;
  }

  /** Ids of the messages that are under way. */
  get underWay(): ReadonlyMap<string, unknown> {
    return this.#underWay;
  }

  get staying(): ReadonlySet<string> {
    return this.#staying;
  }

  /** A row's message is published, and the messages that follow from it. */
  expect(messageId: string, following: readonly string[] = []): void {
    // Another process owns the table.
    if (!this.used) return;
    const awaited = new Set([messageId, ...following]);
    const row = { messageId, awaited, complete: true };
    for (const id of awaited) this.#underWay.set(id, row);
  }

  /** Redis has these messages; some of them may be stored. */
  sent(messageIds: readonly string[]): void {
    const stored = messageIds.flatMap((id) => this.#settle(id, true) ?? []);
    if (stored.length > 0) void this.remove(stored);
  }

  /** A message will not be sent, for another covers it: its row is swept later. */
  replaced(messageId: string): void {
    this.#settle(messageId, false);
  }

  /** Removes rows from the application's table. Never rejects. */
  async remove(messageIds: readonly string[]): Promise<void> {
    for (const id of messageIds) remember(this.#staying, id);
    try {
      await this.#outbox?.remove(messageIds);
      for (const id of messageIds) this.#staying.delete(id);
    } catch (cause) {
      this.errors.report(
        new CallbackFailedError(
          'The durable outbox',
          'could not remove the rows that were sent',
          'It is tried again with the next heartbeat; nothing is lost.',
          cause,
        ),
        'durable-outbox',
      );
    }
  }

  /** @returns the id of the message's row, if Redis has all messages of the row */
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
}

/** Adds to a set that starts anew when it is full. @internal */
export function remember(ids: Set<string>, id: string): void {
  if (ids.size >= STAYING_LIMIT) ids.clear();
  ids.add(id);
}
