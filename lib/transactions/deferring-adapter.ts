import { InvalidationScope, type ScopeOptions } from '../publisher/index.js';

/* oxlint-disable typescript/no-explicit-any -- of whatever client and options */

type Work = (...args: any[]) => Promise<any>;

/** The options of an adapter of `@nestjs-cls/transactional`, for one connection. @publicApi */
export interface TransactionalOptions {
  wrapWithTransaction(options: any, work: Work, setTx: any): Promise<any>;
  wrapWithNestedTransaction?(
    options: any,
    work: Work,
    setTx: any,
    tx: any,
  ): Promise<any>;
}

/** An adapter of `@nestjs-cls/transactional`, for whatever ORM. @publicApi */
export interface TransactionalAdapterLike {
  optionsFactory: (...args: any[]) => TransactionalOptions;
}

/**
 * Makes every `@Transactional()` method and `withTransaction()` call of
 * `@nestjs-cls/transactional` an `InvalidationScope`: invalidations of a transaction are
 * published after its commit. With `Propagation.Nested` a rollback of the savepoint
 * discards only its own invalidations; with `RequiresNew` those of the inner transaction
 * are published after its own commit.
 *
 * The package has no hook for a commit, but lets an adapter begin and end the
 * transaction. An adapter does not see calls outside of the transaction (`NotSupported`,
 * `Never`): put `InvalidationScope.runNew()` around such a call, or a rollback discards
 * its invalidations.
 *
 * @param adapter is changed, and returned
 * @param options.at asked for a position of the log after each commit, by the same database
 * @example
 * ```ts
 * new ClsPluginTransactional({
 *   adapter: deferringAdapter(new TransactionalAdapterPrisma({ … })),
 * })
 * ```
 * @publicApi
 */
export function deferringAdapter<A extends TransactionalAdapterLike>(
  adapter: A,
  options: ScopeOptions = {},
): A {
  const makeOptions = adapter.optionsFactory.bind(adapter);
  adapter.optionsFactory = (...args) => {
    const made = makeOptions(...args);
    const begin = made.wrapWithTransaction.bind(made);
    made.wrapWithTransaction = (given, work, setTx) =>
      InvalidationScope.runNew(
        (keep) => begin(given, thenKeep(work, keep), setTx),
        options,
      );
    const nest = made.wrapWithNestedTransaction?.bind(made);
    if (nest !== undefined) {
      made.wrapWithNestedTransaction = (given, work, setTx, tx) =>
        InvalidationScope.run((keep) =>
          nest(given, thenKeep(work, keep), setTx, tx),
        );
    }
    return made;
  };
  return adapter;
}

/**
 * Keeps the invalidations once the work is done: an error after it comes from the COMMIT,
 * which may have taken place.
 *
 * @internal
 */
export function thenKeep(work: Work, keep: () => void): Work {
  return async (...args: unknown[]) => {
    const result: unknown = await work(...args);
    keep();
    return result;
  };
}
