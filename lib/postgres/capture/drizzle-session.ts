import type { CapturedConnection, CatalogRow } from './captured-connection.js';
import {
  filledParameters,
  returnedRows,
  type DrizzleField,
} from './drizzle-values.js';
import type { WriteCapture } from './write-capture.js';

interface Query {
  readonly sql: string;
  readonly params: readonly unknown[];
}

type Execute = (
  values?: Readonly<Record<string, unknown>>,
  ...rest: unknown[]
) => Promise<unknown>;

interface Prepared {
  execute: Execute;
  all?: Execute;
  getQuery(): Query;
}

/** A query that is built, and not sent yet. */
interface Preparable {
  _prepare(): Prepared;
}

type Prepare = (
  query: Query,
  fields?: readonly DrizzleField[],
  ...rest: unknown[]
) => Prepared;

type Work = (tx: DrizzleDatabase) => Promise<unknown>;

type Transact = (work: Work, ...rest: unknown[]) => Promise<unknown>;

/** Part of Drizzle's sessions, which send the queries of a database or transaction. @internal */
export interface DrizzleSession {
  readonly client?: object;
  prepareQuery: Prepare;
  transaction: Transact;
  /** Only the driver for Neon over HTTP has it. */
  batch?(queries: readonly Preparable[]): Promise<unknown>;
}

/** A database, or a transaction, which is one. @internal */
export interface DrizzleDatabase {
  readonly session: DrizzleSession;
  readonly _: object;
  transaction: Transact;
}

/** A session whose statements are captured. @internal */
export function capturedSession(
  session: DrizzleSession,
  capture: WriteCapture,
): DrizzleSession {
  // Statements of a pool run on whichever connection is free; a single client has one.
  const single = isPool(session) ? null : connectionOf(session, capture);
  const captured: DrizzleSession = copy(session, {
    prepareQuery: capturedPrepare(
      session,
      () => single ?? connectionOf(session, capture),
    ),
    transaction: (work, ...rest) =>
      capturedTransaction(session, captured, capture, work, rest),
  } satisfies Partial<DrizzleSession>);
  if (session.batch === undefined) return captured;
  const send = session.batch.bind(session);
  return copy(captured, {
    batch: (queries) =>
      capturedBatch(connectionOf(session, capture), queries, () =>
        send(queries),
      ),
  } satisfies Partial<DrizzleSession>);
}

/** A copy of a database with another session. @internal */
export function withSession<D extends object>(
  db: D,
  session: DrizzleSession,
): D {
  const { _ } = db as D & DrizzleDatabase;
  return copy(db, {
    session,
    _: { ..._, session },
  } satisfies Partial<DrizzleDatabase>);
}

async function capturedTransaction(
  session: DrizzleSession,
  captured: DrizzleSession,
  capture: WriteCapture,
  work: Work,
  rest: unknown[],
): Promise<unknown> {
  const begun: CapturedConnection[] = [];
  const run: Work = async (tx) => {
    // A single client begins and ends its transactions by statements of its session.
    if (tx.session === captured) return work(tx);
    const connection = connectionOf(tx.session, capture);
    connection.begin();
    begun.push(connection);
    try {
      return await work(transactionOn(connection, tx));
    } catch (error) {
      connection.rollback();
      throw error;
    }
  };
  try {
    return await session.transaction.call(captured, run, ...rest);
  } finally {
    // An error after the work is that of the COMMIT, which may have taken place.
    for (const connection of begun) await connection.release();
  }
}

function transactionOn(
  connection: CapturedConnection,
  tx: DrizzleDatabase,
): DrizzleDatabase {
  const { session } = tx;
  const captured = copy(session, {
    prepareQuery: capturedPrepare(session, () => connection),
  });
  return copy(withSession(tx, captured), {
    transaction: (work, ...rest) =>
      tx.transaction(
        (inner) => work(transactionOn(connection, inner)),
        ...rest,
      ),
  } satisfies Partial<DrizzleDatabase>);
}

function capturedPrepare(
  session: DrizzleSession,
  connect: () => CapturedConnection,
): Prepare {
  return (query, fields, ...rest) => {
    const prepared = session.prepareQuery(query, fields, ...rest);
    const capturing =
      (execute: Execute, columns: typeof fields): Execute =>
      (values, ...more) =>
        connect().run(
          {
            text: query.sql,
            parameters: filledParameters(query.params, values ?? {}),
          },
          () => execute(values, ...more),
          (result) => returnedRows(result, columns),
        );
    prepared.execute = capturing(prepared.execute.bind(prepared), fields);
    if (prepared.all !== undefined) {
      prepared.all = capturing(prepared.all.bind(prepared), undefined);
    }
    return prepared;
  };
}

/** Queries that leave together, as one transaction, and have their results at its end. */
async function capturedBatch(
  connection: CapturedConnection,
  queries: readonly Preparable[],
  send: () => Promise<unknown>,
): Promise<unknown> {
  connection.begin();
  for (const query of queries) {
    // oxlint-disable-next-line no-underscore-dangle -- as Drizzle names it
    const { sql, params } = query._prepare().getQuery();
    await connection.run(
      { text: sql, parameters: params },
      () => Promise.resolve(),
      () => null,
    );
  }
  return connection.commit(send);
}

function connectionOf(
  session: DrizzleSession,
  capture: WriteCapture,
): CapturedConnection {
  return capture.connect(async (sql) => {
    const query = session.prepareQuery({ sql, params: [] });
    const rows = returnedRows(await query.execute(), undefined);
    return (rows ?? []) as readonly CatalogRow[];
  });
}

/** As Drizzle tells a pool of node-postgres. */
function isPool({ client }: DrizzleSession): boolean {
  return client?.constructor.name.includes('Pool') === true;
}

/** A copy with own properties in the place of others, of the same class. */
function copy<T extends object>(object: T, properties: object): T {
  return Object.create(Object.getPrototypeOf(object), {
    ...Object.getOwnPropertyDescriptors(object),
    ...Object.getOwnPropertyDescriptors(properties),
  });
}
