import { thenKeep } from './deferring-adapter.js';
import { InvalidationScope, type ScopeOptions } from '../publisher/index.js';

/* oxlint-disable typescript/no-explicit-any -- `transaction` is overloaded */

/** Part of `Sequelize` that is used here. @publicApi */
export interface SequelizeLike {
  transaction(...args: any[]): Promise<any>;
}

/**
 * Makes every managed `transaction()` of a Sequelize instance, with or without
 * CLS, an `InvalidationScope`: what is published in it leaves after its commit, and
 * a rollback of a nested one (`{ transaction }`, a savepoint) takes only what
 * belongs to it.
 *
 * `afterCommit` of a transaction would say that it has committed, but not what was
 * published in it: the scope has to be around the work. An unmanaged transaction,
 * which is committed by hand, has no work to put a scope around: put
 * `InvalidationScope.runNew()` around all of it, `commit()` included.
 *
 * @param sequelize is changed, and returned
 * @param scope.at asked for a position of the log after each commit, by the same database
 * @example
 * ```ts
 * const sequelize = deferringSequelize(new Sequelize(url));
 * await sequelize.transaction(async (transaction) => {
 *   await User.update({ name }, { where: { id }, transaction });
 *   await publisher.invalidate('User', id); // leaves after the commit
 * });
 * ```
 * @publicApi
 */
export function deferringSequelize<S extends SequelizeLike>(
  sequelize: S,
  scope: ScopeOptions = {},
): S {
  const begin = sequelize.transaction.bind(sequelize);
  sequelize.transaction = (...args) => {
    // Sequelize takes the work first or second, and an unmanaged transaction has none.
    const at = args.findIndex((arg) => typeof arg === 'function');
    if (at < 0) return begin(...args);
    const options = args.slice(0, at);
    const nested = Boolean(options[0]?.transaction);
    return InvalidationScope[nested ? 'run' : 'runNew'](
      (keep) => begin(...options, thenKeep(args[at] as never, keep)),
      scope,
    );
  };
  return sequelize;
}
