/**
 * Publishes after the commit, with the transactions of nestjs-cls, TypeORM and
 * Sequelize.
 *
 * @module transactions
 */
export {
  deferringAdapter,
  type TransactionalAdapterLike,
  type TransactionalOptions,
} from './deferring-adapter.js';
export {
  deferringDataSource,
  type DataSourceLike,
  type EntityManagerLike,
} from './deferring-data-source.js';
export {
  deferringSequelize,
  type SequelizeLike,
} from './deferring-sequelize.js';
