import { CapturedWrites, type CapturedWrite } from './captured-writes.js';
import { commandOf, isPlainRead, type SqlCommand } from './sql-text.js';
import { statementsIn, tokensOf } from './sql-tokens.js';
import type { WriteCapture } from './write-capture.js';

/** A statement as the client sends it. @internal */
export interface SqlStatement {
  readonly text: string;
  /** Values of `$1`, `$2`, … */
  readonly parameters: readonly unknown[];
}

/** A row of texts, by column. @internal */
export type CatalogRow = Readonly<Record<string, string | null>>;

/** Runs SQL on this connection, past the capture. @internal */
export type CatalogQuery = (sql: string) => Promise<readonly CatalogRow[]>;

/** Milliseconds after which a commit has ended whose answer was lost. */
const LATE_MS = 2_000;

/**
 * Announces the writes of one connection after each commit, before the caller of the
 * COMMIT has its result. Every statement must pass it, those that begin and end
 * transactions included.
 *
 * @internal
 */
export class CapturedConnection {
  /** Writes of the transaction that is open; `null` outside of one. */
  #transaction: CapturedWrites | null = null;
  /**
   * Whether the transaction may not be open, since its BEGIN has failed. Its writes are
   * announced at once, and again at its end.
   */
  #isUnsure = false;

  constructor(
    private readonly capture: WriteCapture,
    private readonly query: CatalogQuery,
  ) {}

  /**
   * Sends a statement, and announces what it has committed, also when it fails: its
   * outcome may be unknown. Its result and its error pass through.
   *
   * @param rowsOf takes the rows that RETURNING gave, under the names that the text gives
   * them, or in its order; `null` if the client does not hand them out
   */
  async run<T>(
    statement: SqlStatement,
    send: () => Promise<T>,
    rowsOf: (result: T) => readonly unknown[] | null,
  ): Promise<T> {
    if (isPlainRead(statement.text)) return send();
    const sent = new SentText(this.capture.open());
    const statements = statementsIn(tokensOf(statement.text));
    const commands = statements.map(commandOf);
    statements.forEach((tokens, index) => {
      const command = commands[index]!;
      if (isWrite(command)) {
        const write = this.capture.writeOf(command, tokens, statement);
        const into = this.#transaction ?? sent.alone;
        into.hasDefinitions ||= command === 'definition';
        sent.begin(write, into);
        if (this.#isUnsure) sent.commits(into);
      } else this.#follow(command, sent);
    });
    try {
      const result = await send();
      if (sent.hasWrites) await this.capture.learn(this.query);
      // The rows of several statements cannot be told apart.
      sent.end(statements.length === 1 ? rowsOf(result) : null);
      return result;
    } catch (error) {
      if (commands.some(isBegin) && this.#transaction !== null) {
        this.#isUnsure = true;
        sent.commits(this.#transaction);
      }
      this.#announceLate(sent.committed, error);
      throw error;
    } finally {
      sent.end(null);
      await this.capture.announce(sent.committed);
    }
  }

  /** The client begins a transaction by other means than a statement. */
  begin(): void {
    this.#transaction ??= this.capture.open();
  }

  /** Commits by other means than a statement. */
  async commit<T>(send: () => Promise<T>): Promise<T> {
    const ended = this.#end();
    const committed = ended === null ? [] : [ended];
    try {
      return await send();
    } catch (error) {
      this.#announceLate(committed, error);
      throw error;
    } finally {
      await this.capture.announce(committed);
    }
  }

  /** The client rolls back by other means than a statement. */
  rollback(): void {
    const ended = this.#end();
    if (ended !== null) this.capture.forgetDefinitions(ended);
  }

  /**
   * The client gives the connection back. Announces the writes of a transaction that has
   * not ended, since its outcome is not known.
   */
  async release(): Promise<void> {
    await this.commit(() => Promise.resolve());
  }

  /** Announces once more, unless the server has told that it failed. */
  #announceLate(committed: readonly CapturedWrites[], error: unknown): void {
    const { severity } = (error ?? {}) as { severity?: unknown };
    if (severity === 'ERROR') return;
    setTimeout(() => void this.capture.announce(committed), LATE_MS).unref();
  }

  #follow(command: SqlCommand, sent: SentText): void {
    // Earlier writes of the same text are part of the transaction.
    if (command === 'begin')
      this.#transaction ??= sent.takeAlone(this.capture.open());
    if (command === 'commit') sent.commits(this.#end());
    if (command === 'rollback') this.rollback();
    // Without a transaction AND CHAIN fails, and begins none.
    const isOpen = this.#transaction !== null;
    if (command === 'commit-and-chain') sent.commits(this.#end());
    if (command === 'rollback-and-chain') this.rollback();
    if (isOpen && command.endsWith('-and-chain')) this.begin();
  }

  #end(): CapturedWrites | null {
    const ended = this.#transaction;
    this.#transaction = null;
    this.#isUnsure = false;
    return ended;
  }
}

function isWrite(command: SqlCommand): boolean {
  return ['write', 'hidden', 'definition'].includes(command);
}

function isBegin(command: SqlCommand): boolean {
  return ['begin', 'commit-and-chain', 'rollback-and-chain'].includes(command);
}

/** The writes of one text, which is most often one statement. */
class SentText {
  /** Writes of transactions that end with the text. */
  readonly committed: CapturedWrites[];
  readonly #writes: [CapturedWrite, CapturedWrites][] = [];

  constructor(
    /** Those outside of a transaction. */
    public alone: CapturedWrites,
  ) {
    this.committed = [alone];
  }

  /** Those outside of a transaction so far, which others take the place of. */
  takeAlone(others: CapturedWrites): CapturedWrites {
    const { alone } = this;
    this.alone = others;
    this.committed.splice(this.committed.indexOf(alone), 1, others);
    return alone;
  }

  get hasWrites(): boolean {
    return this.#writes.length > 0;
  }

  begin(write: CapturedWrite, into: CapturedWrites): void {
    into.begin(write);
    this.#writes.push([write, into]);
  }

  end(result: readonly unknown[] | null): void {
    for (const [write, into] of this.#writes) into.end(write, result);
  }

  commits(writes: CapturedWrites | null): void {
    if (writes === null || this.committed.includes(writes)) return;
    this.committed.push(writes);
  }
}
