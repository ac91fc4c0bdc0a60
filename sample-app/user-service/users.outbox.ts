import { Injectable } from '@nestjs/common';
import type {
  DurableOutbox,
  StoredInvalidation,
} from 'nestjs-cache-invalidation';
import { Database, type Queries } from '../shared/database.js';

/**
 * Invalidations that are written in the transaction that changes the row, and
 * published after the commit. Rows that a killed process left behind are published by
 * its successor, or by another instance.
 */
@Injectable()
export class UsersOutbox implements DurableOutbox {
  constructor(private readonly database: Database) {}

  /** Stores an invalidation in the transaction of the change. */
  async add(
    transaction: Queries,
    stored: readonly StoredInvalidation[],
  ): Promise<void> {
    for (const { messageId, text } of stored) {
      await transaction.query(
        'INSERT INTO sample_users_outbox (message_id, text) VALUES ($1, $2)',
        [messageId, text],
      );
    }
  }

  async pending(query: {
    limit: number;
    olderThan: number;
  }): Promise<string[]> {
    const rows = await this.database.query<{ text: string }>(
      `SELECT text FROM sample_users_outbox
       WHERE stored_at < now() - $2 * interval '1 millisecond'
       ORDER BY stored_at LIMIT $1`,
      [query.limit, query.olderThan],
    );
    return rows.map(({ text }) => text);
  }

  async remove(messageIds: readonly string[]): Promise<void> {
    await this.database.query(
      'DELETE FROM sample_users_outbox WHERE message_id = ANY($1)',
      [messageIds],
    );
  }
}
