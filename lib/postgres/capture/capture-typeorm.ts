import { InvalidationConfigurationError } from '../../errors/index.js';
import type { CaptureOptions } from './capture.options.js';
import { CapturedPgClients, type PgClientLike } from './pg-client.js';
import { WriteCapture } from './write-capture.js';

/* oxlint-disable typescript/no-explicit-any -- drivers of other databases differ */

/** Part of TypeORM's `DataSource` that is used here. @publicApi */
export interface CapturedDataSource {
  readonly options: { readonly type: string };
  readonly driver: any;
}

/** Part of TypeORM's driver for PostgreSQL that is used here. */
interface PostgresDriver {
  obtainMasterConnection(): Promise<[PgClientLike, ...unknown[]]>;
  obtainSlaveConnection(): Promise<[PgClientLike, ...unknown[]]>;
}

/**
 * Announces what a data source of TypeORM commits: by entities, repositories, query
 * builders, SQL of your own, query runners and their clients. It is announced after the
 * commit, before the call that commits resolves. Call it before the first query.
 *
 * @param dataSource is changed, and returned
 * @throws InvalidationConfigurationError for another database than PostgreSQL, or options
 * that are not right
 * @example
 * ```ts
 * const database = {
 *   provide: DataSource,
 *   inject: [InvalidationPublisher],
 *   useFactory: (publisher: InvalidationPublisher) =>
 *     captureTypeOrm(new DataSource({ type: 'postgres', … }), {
 *       publisher,
 *       tables: { 'public.users': 'User' },
 *     }).initialize(),
 * };
 * ```
 * @publicApi
 */
export function captureTypeOrm<D extends CapturedDataSource>(
  dataSource: D,
  options: CaptureOptions,
): D {
  if (dataSource.options.type !== 'postgres') {
    throw new InvalidationConfigurationError(
      'Writes of this data source cannot be captured.',
      [],
      'Give a DataSource of TypeORM with the type "postgres".',
    );
  }
  const clients = new CapturedPgClients(new WriteCapture(options));
  const driver: PostgresDriver = dataSource.driver;
  const capturing =
    (obtain: PostgresDriver['obtainMasterConnection']) => async () => {
      const obtained = await obtain();
      clients.add(obtained[0]);
      return obtained;
    };
  driver.obtainMasterConnection = capturing(
    driver.obtainMasterConnection.bind(driver),
  );
  driver.obtainSlaveConnection = capturing(
    driver.obtainSlaveConnection.bind(driver),
  );
  return dataSource;
}
