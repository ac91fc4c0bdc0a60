import { CapturedWrites, type CapturedWrite } from './captured-writes.js';
import { commandOf, isPlainRead } from './sql-text.js';
import { statementsIn, tokensOf } from './sql-tokens.js';
import type { WriteCapture } from './write-capture.js';

/** A statement as the client sends it. @internal */
export interface SqlStatement {
  readonly text: string;
  /** Values of `$1`, `$2`, … */
  readonly parameters: readonly unknown[];
}

/**
 * Runs SQL on this connection, past the capture.
 *
 * @returns its rows, by column
 * @internal
 */
export type CatalogQuery = (
  sql: string,
) => Promise<readonly Readonly<Record<string, unknown>>[]>;

/**
 * What one connection of an ORM writes. It is told of every statement, those that begin
 * and end transactions included, and announces after the commit, before the caller of the
 * COMMIT has its result.
 *
 * @internal
 */
export class CapturedConnection {
  /** Writes of the transaction that is open; `null` outside of one. */
  #transaction: CapturedWrites | null = null;

  constructor(
    private readonly capture: WriteCapture,
    private readonly query: CatalogQuery,
  ) {}

  /**
   * Sends a statement, and announces what it has committed. Its result and its error pass
   * through.
   *
   * @param rowsOf takes the rows that RETURNING gave, each by column or in the order of
   * the columns; `null` if the client does not hand them out
   */
  async run<T>(
    statement: SqlStatement,
    send: () => Promise<T>,
    rowsOf: (result: T) => readonly unknown[] | null,
  ): Promise<T> {
    if (isPlainRead(statement.text)) return send();
    const alone = this.capture.open();
    const leaving = [alone];
    const writes: [CapturedWrite, CapturedWrites][] = [];
    const statements = statementsIn(tokensOf(statement.text));
    for (const tokens of statements) {
      const command = commandOf(tokens);
      if (command === 'begin') this.begin();
      else if (command.startsWith('commit') || command.startsWith('rollback')) {
        const ended = this.#transaction;
        if (ended !== null && command.startsWith('commit')) leaving.push(ended);
        this.#transaction = command.endsWith('chain')
          ? this.capture.open()
          : null;
      } else if (command !== 'read') {
        const write = this.capture.writeOf(command, tokens, statement);
        const into = this.#transaction ?? alone;
        into.begin(write);
        writes.push([write, into]);
      }
    }
    try {
      const result = await send();
      if (writes.length > 0) await this.capture.learn(this.query);
      // Rows of several statements cannot be told apart.
      const rows = statements.length === 1 ? rowsOf(result) : null;
      for (const [write, into] of writes) into.end(write, rows);
      return result;
    } finally {
      for (const [write, into] of writes) into.end(write, null);
      await this.capture.announce(leaving);
    }
  }

  /** The client has begun a transaction without a statement. */
  begin(): void {
    this.#transaction ??= this.capture.open();
  }

  /** Commits by other means than a statement. */
  async commit<T>(send: () => Promise<T>): Promise<T> {
    const ended = this.#transaction;
    this.#transaction = null;
    try {
      return await send();
    } finally {
      if (ended !== null) await this.capture.announce([ended]);
    }
  }

  /** The client has rolled back by other means than a statement, or is about to. */
  rollback(): void {
    this.#transaction = null;
  }

  /**
   * The client gives the connection back. Announces the writes of a transaction that has
   * not ended: its outcome is not known.
   */
  async release(): Promise<void> {
    await this.commit(() => Promise.resolve());
  }
}
