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
