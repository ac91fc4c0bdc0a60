/**
 * Runs a query in an open transaction. The query has no parameters.
 *
 * @example
 * ```ts
 * const pg: RunInTransaction = (sql) => client.query(sql);
 * const typeOrm: RunInTransaction = (sql) => manager.query(sql);
 * const mikroOrm: RunInTransaction = (sql) => em.execute(sql);
 * const prisma: RunInTransaction = (sql) => tx.$queryRawUnsafe(sql);
 * const drizzle: RunInTransaction = (sql) => tx.execute(sql);
 * const kysely: RunInTransaction = (sql) => tx.executeQuery(CompiledQuery.raw(sql));
 * ```
 * @publicApi
 */
export type RunInTransaction = (sql: string) => PromiseLike<unknown>;
