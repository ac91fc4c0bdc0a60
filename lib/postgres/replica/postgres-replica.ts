import { parseLsn, type Lsn } from '../../message/index.js';
import type { Replica } from '../../replica/index.js';
import { LOG_END, positionBefore } from '../log-end.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresQueries } from './postgres-position.js';
import { Servers } from './servers.js';

/** Queries of a pool, which may tell of its new connections. @publicApi */
export interface PostgresReadPool extends PostgresQueries {
  on?(event: 'connect', listener: () => void): unknown;
  off?(event: 'connect', listener: () => void): unknown;
}

/** Options of `postgresReplica()`. @publicApi */
export interface PostgresReplicaOptions {
  /** The primary, asked where it is at the start and for invalidations without a position. */
  readonly primary?: PostgresQueries;
  /**
   * The name of its positions in `at`: databases that do not replicate each other need
   * different ones.
   *
   * @default 'pg'
   */
  readonly kind?: string;
}

const SELECT = `select pg_is_in_recovery() as is_replica,
  pg_last_wal_replay_lsn()::text as replayed,
  concat_ws(' ', inet_server_addr(), inet_server_port(), pg_postmaster_start_time()) as server`;

interface Answer {
  readonly is_replica?: boolean;
  readonly replayed?: string | null;
  readonly server?: string;
}

/**
 * A read replica of PostgreSQL (streaming replication), for the option `replica` of near
 * caches. A server that was promoted counts as one that has everything.
 *
 * @param read the pool that loaders use: all its connections lead to one server, for each
 * replica behind a balancer has a position of its own
 * @example
 * ```ts
 * this.users = caches.create<User>('User', {
 *   replica: postgresReplica(readPool, { primary: pool }),
 *   primary: (id) => this.findOnPrimary(id),
 * });
 * ```
 * @publicApi
 */
export function postgresReplica(
  read: PostgresReadPool,
  { primary, kind = 'pg' }: PostgresReplicaOptions = {},
): Replica {
  const servers = new Servers();
  return {
    kind,
    async applied() {
      const answer = await first<Answer>(read, SELECT);
      servers.answered(String(answer.server));
      if (answer.is_replica === false) return 'everything';
      return answer.replayed ?? '0/0';
    },
    isBefore: (one, other) => lsn(one) < lsn(other),
    ...(primary !== undefined && {
      async current() {
        const { log_end: end } = await first<{ log_end?: unknown }>(
          primary,
          `select ${LOG_END} as log_end`,
        );
        const position = positionBefore(end);
        if (position === null) throw noPosition();
        return position;
      },
    }),
    ...(typeof read.on === 'function' && {
      onConnect(listener: () => void) {
        const heard = (): void => listener();
        read.on!('connect', heard);
        return () => void read.off?.('connect', heard);
      },
    }),
  };
}

async function first<T>(from: PostgresQueries, text: string): Promise<T> {
  const { rows } = await from.query(text);
  if (rows[0] === undefined) throw noPosition();
  return rows[0] as T;
}

function lsn(text: string): Lsn {
  const read = parseLsn(text);
  if (read === null) throw noPosition();
  return read;
}

function noPosition(): InvalidationPostgresError {
  return new InvalidationPostgresError(
    'PostgreSQL told no position of its log.',
    'Give postgresReplica pools of PostgreSQL 12 or later.',
  );
}
