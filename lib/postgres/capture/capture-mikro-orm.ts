import { InvalidationConfigurationError } from '../../errors/index.js';
import type { CaptureOptions } from './capture.options.js';
import { CapturedPgClients, type PgClientLike } from './pg-client.js';
import { WriteCapture } from './write-capture.js';

/* oxlint-disable typescript/no-explicit-any -- drivers of other databases differ */

/** Part of an entity manager of MikroORM that is used here. @publicApi */
export interface CapturedEntityManager {
  getConnection(): any;
}

/** Part of Knex that is used here. */
interface KnexLike {
  readonly client: {
    acquireConnection(): Promise<PgClientLike>;
  };
}

/** Part of MikroORM's connection to PostgreSQL that is used here. */
interface KnexConnection {
  createKnex(): void;
  getKnex(): KnexLike;
}

/**
 * Announces what MikroORM commits: by `flush()`, native queries, query builders, SQL of
 * your own and its Knex. It is announced after the commit, before the call that commits
 * resolves. Call it before the first query.
 *
 * @param orm MikroORM 6 or its entity manager, whose connection is changed; it is returned
 * @throws InvalidationConfigurationError for another version or database, or options that
 * are not right
 * @example
 * ```ts
 * const database = {
 *   provide: MikroORM,
 *   inject: [InvalidationPublisher],
 *   useFactory: async (publisher: InvalidationPublisher) =>
 *     captureMikroOrm(await MikroORM.init(config), {
 *       publisher,
 *       tables: { 'public.users': 'User' },
 *     }),
 * };
 * ```
 * @publicApi
 */
export function captureMikroOrm<
  O extends CapturedEntityManager | { readonly em: CapturedEntityManager },
>(orm: O, options: CaptureOptions): O {
  const given: CapturedEntityManager | { readonly em: CapturedEntityManager } =
    orm;
  const em = 'em' in given ? given.em : given;
  const connection: KnexConnection = em.getConnection();
  if (typeof connection.createKnex !== 'function') {
    throw new InvalidationConfigurationError(
      'Writes of this entity manager cannot be captured.',
      [],
      'Give MikroORM 6 with the driver of @mikro-orm/postgresql.',
    );
  }
  const clients = new CapturedPgClients(new WriteCapture(options));
  const capture = ({ client }: KnexLike) => {
    const acquire = client.acquireConnection.bind(client);
    client.acquireConnection = async () => {
      const acquired = await acquire();
      clients.add(acquired);
      return acquired;
    };
  };
  // A later connect() makes another Knex.
  const create = connection.createKnex.bind(connection);
  connection.createKnex = () => {
    create();
    capture(connection.getKnex());
  };
  capture(connection.getKnex());
  return orm;
}
