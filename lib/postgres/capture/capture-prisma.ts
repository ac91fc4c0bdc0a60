import type { CaptureOptions } from './capture.options.js';
import type {
  CapturedConnection,
  CatalogQuery,
} from './captured-connection.js';
import { WriteCapture } from './write-capture.js';

/** Part of a driver adapter of Prisma that is used here, such as `PrismaPg`. @publicApi */
export interface PrismaAdapterLike {
  readonly provider: string;
  connect(): Promise<object>;
}

interface Query {
  readonly sql: string;
  readonly args: readonly unknown[];
}

interface ResultSet {
  readonly columnNames: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
}

interface Queryable {
  queryRaw(query: Query): Promise<ResultSet>;
  executeRaw(query: Query): Promise<number>;
}

interface Adapter extends Queryable {
  executeScript(script: string): Promise<void>;
  startTransaction(...args: unknown[]): Promise<Transaction>;
}

interface Transaction extends Queryable {
  commit(): Promise<void>;
}

/**
 * Announces what a Prisma client writes, after each commit and before the caller has its
 * result, whatever extensions it has: it sees the SQL that the client sends through its
 * driver adapter.
 *
 * @param adapter of PostgreSQL; it is left as it is
 * @returns the adapter to be given to the client
 * @throws InvalidationConfigurationError for wrong options
 * @example
 * ```ts
 * const prisma = new PrismaClient({
 *   adapter: capturePrisma(new PrismaPg({ connectionString }), {
 *     publisher,
 *     tables: { 'public.users': 'User' },
 *   }),
 * });
 * ```
 * @publicApi
 */
export function capturePrisma<A extends PrismaAdapterLike>(
  adapter: A,
  options: CaptureOptions,
): A {
  const capture = new WriteCapture(options);
  return replacing<PrismaAdapterLike, A>(adapter, {
    connect: async () =>
      capturedAdapter((await adapter.connect()) as Adapter, capture),
  });
}

/** Each of its statements runs on whichever connection is free. */
function capturedAdapter(adapter: Adapter, capture: WriteCapture): Adapter {
  const connect = () => capture.connect(queryBy(adapter));
  return replacing<Adapter>(adapter, {
    ...captured(adapter, connect),
    executeScript: (script) =>
      connect().run(
        { text: script, parameters: [] },
        () => adapter.executeScript(script),
        () => null,
      ),
    startTransaction: async (...args) => {
      const transaction = await adapter.startTransaction(...args);
      const writes = capture.connect(queryBy(transaction));
      writes.begin();
      return replacing<Transaction>(transaction, {
        ...captured(transaction, () => writes),
        commit: () => writes.commit(() => transaction.commit()),
      });
    },
  });
}

function captured(
  queryable: Queryable,
  connect: () => CapturedConnection,
): Queryable {
  return {
    queryRaw: (query) =>
      connect().run(
        { text: query.sql, parameters: query.args },
        () => queryable.queryRaw(query),
        ({ rows }) => rows,
      ),
    executeRaw: (query) =>
      connect().run(
        { text: query.sql, parameters: query.args },
        () => queryable.executeRaw(query),
        () => null,
      ),
  };
}

function queryBy(queryable: Queryable): CatalogQuery {
  return async (sql: string) => {
    const query = { sql, args: [], argTypes: [] };
    const { columnNames, rows } = await queryable.queryRaw(query);
    return rows.map((row) =>
      Object.fromEntries(
        columnNames.map((name, at) => [name, row[at] as string | null]),
      ),
    );
  };
}

/** An object with some methods replaced, whose other ones do not know of it. */
function replacing<T extends object, U extends T = T>(
  object: U,
  methods: Partial<T>,
): U {
  return new Proxy(object, {
    get: (target, name) => {
      if (Object.hasOwn(methods, name)) return methods[name as keyof T];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
