import type { CaptureOptions } from './capture.options.js';
import type { CapturedConnection, CatalogRow } from './captured-connection.js';
import { WriteCapture } from './write-capture.js';

/** Part of `Kysely` that is used here. @publicApi */
export interface KyselyLike {
  getExecutor(): object;
  withPlugin(plugin: KyselyPluginLike): object;
}

/** Part of Kysely's plugins that is used here. @publicApi */
export interface KyselyPluginLike {
  transformQuery<N>(args: { readonly node: N }): N;
  transformResult<R>(args: { readonly result: R }): Promise<R>;
}

interface CompiledQuery {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

interface QueryResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

interface Connection {
  executeQuery(query: CompiledQuery, ...rest: unknown[]): Promise<QueryResult>;
  streamQuery(
    query: CompiledQuery,
    ...rest: unknown[]
  ): AsyncIterable<QueryResult>;
}

type Consumer = (connection: Connection) => Promise<unknown>;

/** Methods that make an executor of another one. */
const DERIVING = [
  'withConnectionProvider',
  'withPlugin',
  'withPlugins',
  'withPluginAtFront',
  'withoutPlugins',
] as const;

type Executor = Record<
  (typeof DERIVING)[number],
  (...args: unknown[]) => Executor
> & { provideConnection(consumer: Consumer): Promise<unknown> };

/** Makes a copy of `Kysely` with an executor of its own. */
const SAME: KyselyPluginLike = {
  transformQuery: ({ node }) => node,
  transformResult: ({ result }) => Promise.resolve(result),
};

/**
 * Announces what a Kysely instance writes, after each commit and before the caller has its
 * result: by queries, raw SQL, `transaction()`, `startTransaction()` and `connection()`.
 *
 * @param db is left as it is: what it writes itself is not seen
 * @returns the instance to be used from now on
 * @throws InvalidationConfigurationError for wrong options
 * @example
 * ```ts
 * const db = captureKysely(new Kysely<Database>({ dialect }), {
 *   publisher,
 *   tables: { 'public.users': 'User' },
 * });
 * ```
 * @publicApi
 */
export function captureKysely<K extends KyselyLike>(
  db: K,
  options: CaptureOptions,
): K {
  const captured = db.withPlugin(SAME) as K;
  const connections = new CapturedKyselyConnections(new WriteCapture(options));
  connections.captureAll(captured.getExecutor() as Executor);
  return captured;
}

/**
 * The connections that the executors of one instance use. Kysely begins and ends its
 * transactions by statements on them, so that they see everything.
 */
class CapturedKyselyConnections {
  /** By the connection of the driver, and by itself. */
  readonly #captured = new WeakMap<Connection, Connection>();

  constructor(private readonly capture: WriteCapture) {}

  /** Changes an executor, and all that will be made of it. */
  captureAll(executor: Executor): Executor {
    const provide = executor.provideConnection.bind(executor);
    executor.provideConnection = (consumer) =>
      provide((connection) => consumer(this.#of(connection)));
    for (const name of DERIVING) {
      const derive = executor[name].bind(executor);
      executor[name] = (...args) => this.captureAll(derive(...args));
    }
    return executor;
  }

  #of(connection: Connection): Connection {
    const known = this.#captured.get(connection);
    if (known !== undefined) return known;
    const writes = this.capture.connect(async (sql) => {
      const { rows } = await connection.executeQuery({ sql, parameters: [] });
      return rows as readonly CatalogRow[];
    });
    const captured = capturedConnection(connection, writes);
    this.#captured.set(connection, captured);
    this.#captured.set(captured, captured);
    return captured;
  }
}

function capturedConnection(
  connection: Connection,
  writes: CapturedConnection,
): Connection {
  const own: Connection = {
    executeQuery: (query, ...rest) =>
      writes.run(
        { text: query.sql, parameters: query.parameters },
        () => connection.executeQuery(query, ...rest),
        ({ rows }) => rows,
      ),
    streamQuery: (query, ...rest) =>
      captureStream(writes, query, connection.streamQuery(query, ...rest)),
  };
  // Drivers keep private fields and symbols of their own in their connections.
  return new Proxy(connection, {
    get: (target, name) => {
      if (name === 'executeQuery' || name === 'streamQuery') return own[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A statement whose rows are read by and by, and which ends with the last of them. */
async function* captureStream(
  writes: CapturedConnection,
  { sql, parameters }: CompiledQuery,
  results: AsyncIterable<QueryResult>,
): AsyncGenerator<QueryResult> {
  let end!: () => void;
  const read = new Promise<void>((resolve) => (end = resolve));
  const ran = writes.run(
    { text: sql, parameters },
    () => read,
    () => null,
  );
  try {
    yield* results;
  } finally {
    end();
    await ran;
  }
}
