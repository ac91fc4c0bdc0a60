import type {
  CapturedConnection,
  SqlStatement,
} from './captured-connection.js';
import type { WriteCapture } from './write-capture.js';

/* oxlint-disable typescript/no-explicit-any -- `query` is overloaded */

/** Part of a client of node-postgres that is used here. @internal */
export interface PgClientLike {
  query(...args: any[]): any;
}

/** A query object of a caller's own, such as a stream. */
interface Submittable {
  readonly text?: string;
  readonly cursor?: { readonly text?: string };
  handleReadyForQuery(...args: any[]): void;
  handleError(...args: any[]): void;
}

/** The text of a statement that was prepared under a name before. */
const PREPARED = 'EXECUTE';

/**
 * Tells a capture of every statement that clients of node-postgres send.
 *
 * @internal
 */
export class CapturedPgClients {
  readonly #known = new WeakSet<object>();

  constructor(private readonly capture: WriteCapture) {}

  /** @param client is changed, once */
  add(client: PgClientLike): void {
    if (this.#known.has(client)) return;
    this.#known.add(client);
    const send = client.query.bind(client);
    const connection = this.capture.connect(async (sql) => {
      const { rows } = await send(sql);
      return rows;
    });
    client.query = (...args) =>
      typeof args[0]?.submit === 'function'
        ? sendObject(connection, send, args)
        : sendText(connection, send, args);
  }
}

/** Sends a text, or an object with one, with or without a callback. */
function sendText(
  connection: CapturedConnection,
  send: PgClientLike['query'],
  args: readonly any[],
): Promise<unknown> | undefined {
  const statement = statementIn(args);
  const [query] = args;
  const callback =
    args.find((each) => typeof each === 'function') ?? query.callback;
  if (typeof callback !== 'function') {
    return connection.run(statement, () => send(...args), rowsIn);
  }
  const values = args.slice(1).filter((each) => each !== callback);
  const plain = typeof query === 'string' ? query : { ...query };
  if (plain !== query) delete plain.callback;
  connection
    .run(statement, () => send(plain, ...values), rowsIn)
    .then(
      (result) => callback(null, result),
      (error: unknown) => callback(error),
    );
  return undefined;
}

/** Sends a query object. */
function sendObject(
  connection: CapturedConnection,
  send: PgClientLike['query'],
  args: readonly any[],
): unknown {
  const query: Submittable = args[0];
  const done = new Promise<void>((resolve, reject) => {
    const ready = query.handleReadyForQuery.bind(query);
    query.handleReadyForQuery = (...given) => {
      ready(...given);
      resolve();
    };
    const fail = query.handleError.bind(query);
    query.handleError = (...given) => {
      fail(...given);
      reject(given[0]);
    };
  });
  let result: unknown;
  const sent = () => {
    result = send(...args);
    return done;
  };
  // The query itself tells its caller.
  connection.run(statementIn(args), sent, () => null).catch(() => null);
  return result;
}

function statementIn([query, values]: readonly any[]): SqlStatement {
  const text = typeof query === 'string' ? query : query.text;
  const parameters = query.values ?? values;
  return {
    text: text ?? query.cursor?.text ?? PREPARED,
    parameters: Array.isArray(parameters) ? parameters : [],
  };
}

function rowsIn(result: unknown): readonly unknown[] | null {
  const { rows } = result as { rows?: readonly unknown[] };
  return rows ?? null;
}
