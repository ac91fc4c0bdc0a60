import { thenKeep } from './deferring-adapter.js';
import { InvalidationScope, type ScopeOptions } from '../publisher/index.js';

/* oxlint-disable typescript/no-explicit-any -- `transaction` is overloaded */

/** Part of TypeORM's `EntityManager` that is used here. @publicApi */
export interface EntityManagerLike {
  readonly queryRunner?: { readonly isTransactionActive: boolean } | undefined;
  transaction(...args: any[]): Promise<any>;
}

/** Part of TypeORM's `DataSource` that is used here. @publicApi */
export interface DataSourceLike {
  readonly manager: EntityManagerLike;
  createEntityManager(...args: any[]): EntityManagerLike;
}

/**
 * Makes every `transaction()` of a TypeORM data source and of its entity managers
 * an `InvalidationScope`: what is published in it leaves after its commit, and a
 * rollback of a nested one, a savepoint, takes only what belongs to it.
 *
 * TypeORM's own hooks (`afterTransactionCommit` of a subscriber) say that a
 * connection has committed, and not which of the requests that run at the same
 * time has: the scope has to be around the work, and then knows of the commit
 * anyway. Around `startTransaction()` and `commitTransaction()` of a query runner
 * put `InvalidationScope.runNew()` yourself.
 *
 * @param dataSource is changed, and returned
 * @param options.at asked for a position of the log after each commit, by the same database
 * @example
 * ```ts
 * TypeOrmModule.forRootAsync({
 *   useFactory: () => options,
 *   dataSourceFactory: async (options) =>
 *     deferringDataSource(await new DataSource(options!).initialize()),
 * })
 * ```
 * @publicApi
 */
export function deferringDataSource<D extends DataSourceLike>(
  dataSource: D,
  options: ScopeOptions = {},
): D {
  const create = dataSource.createEntityManager.bind(dataSource);
  dataSource.createEntityManager = (...args) =>
    deferring(create(...args), options);
  deferring(dataSource.manager, options);
  return dataSource;
}

function deferring(
  manager: EntityManagerLike,
  options: ScopeOptions,
): EntityManagerLike {
  const begin = manager.transaction.bind(manager);
  manager.transaction = (...args) => {
    const nested = manager.queryRunner?.isTransactionActive === true;
    // An isolation level may come before the work.
    const work = args.pop();
    return InvalidationScope[nested ? 'run' : 'runNew'](
      (keep) => begin(...args, thenKeep(work, keep)),
      options,
    );
  };
  return manager;
}
