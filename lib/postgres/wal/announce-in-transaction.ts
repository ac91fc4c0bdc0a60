import type { Invalidation } from '../../message/index.js';
import { encodeAnnounced } from '../mapping/announced-text.js';
import type { RunInTransaction } from '../run-in-transaction.js';
import { ANNOUNCED, emitSql, MARKED } from './logical-message.js';

/**
 * Writes invalidations into PostgreSQL's log as a part of a transaction: the source
 * announces them with its rows once it is committed, and never where it is rolled back. A
 * publisher that is killed loses nothing. Needs WAL mode and PostgreSQL 14; the query fails
 * elsewhere.
 *
 * @throws InvalidMessageError, InvalidationSerializationError, and what the query throws
 * @publicApi
 */
export async function announceInTransaction(
  run: RunInTransaction,
  ...invalidations: readonly Invalidation[]
): Promise<void> {
  const content = encodeAnnounced(invalidations);
  if (invalidations.length > 0) await run(emitSql(ANNOUNCED, content));
}

/**
 * Tells the source to leave out the rows of a transaction, since the application announces
 * them itself. What `announceInTransaction()` adds to the same transaction is announced.
 * If the application is killed before it publishes, nobody does, unless it keeps its
 * messages in a durable outbox. Needs WAL mode and PostgreSQL 14; the query fails elsewhere.
 *
 * @throws what the query throws
 * @publicApi
 */
export async function markAsAnnounced(run: RunInTransaction): Promise<void> {
  await run(emitSql(MARKED, ''));
}
