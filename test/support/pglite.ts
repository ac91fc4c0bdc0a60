import { PGlite } from '@electric-sql/pglite';
import { EventEmitter } from 'node:events';
import { setFlagsFromString } from 'node:v8';

/** A real PostgreSQL in this process, with one connection. */
export async function openPglite(): Promise<PGlite> {
  // Like the sample app: optimised compilation takes longer than it saves.
  setFlagsFromString('--liftoff-only');
  return PGlite.create();
}

type Release = () => void;

interface Client extends EventEmitter {
  query(sql: string, parameters?: readonly unknown[]): Promise<unknown>;
  release: Release;
}

type Connected = (
  error: Error | undefined,
  client: Client,
  release: Release,
) => void;

/**
 * A `dialectModule` for Sequelize: the part of `pg` that it uses, one client at
 * a time.
 */
export function pgModuleOf(db: PGlite) {
  class PgliteClient extends EventEmitter {
    readonly connection = new EventEmitter();

    connect(connected: (error: null) => void): void {
      connected(null);
    }

    query(sql: string, ...rest: unknown[]): unknown {
      const answered = rest.at(-1);
      const result = this.#query(sql, rest);
      if (typeof answered !== 'function') return result;
      return result.then(
        (value) => answered(null, value),
        (error: unknown) => answered(error),
      );
    }

    end(ended: () => void): void {
      ended();
    }

    async #query(sql: string, [parameters]: unknown[]): Promise<unknown> {
      const [command = ''] = /\w+/.exec(sql) ?? [];
      const results = Array.isArray(parameters)
        ? [await db.query(sql, parameters)]
        : await db.exec(sql);
      const { rows, affectedRows } = results.at(-1)!;
      return {
        rows,
        rowCount: affectedRows ?? 0,
        command: command.toUpperCase(),
      };
    }
  }
  return { Client: PgliteClient, types: { getTypeParser: () => String } };
}

/**
 * The part of `pg.Pool` that Kysely and TypeORM use, with one client: further
 * callers wait until it is free.
 */
export class PglitePool extends EventEmitter {
  #free: Promise<void> = Promise.resolve();

  constructor(private readonly db: PGlite) {
    super();
  }

  async connect(connected?: Connected): Promise<Client> {
    const before = this.#free;
    let release!: Release;
    this.#free = new Promise((resolve) => (release = resolve));
    await before;
    const query = async (sql: string, parameters?: readonly unknown[]) => {
      const { rows, affectedRows } = await this.db.query(sql, [
        ...(parameters ?? []),
      ]);
      const command = /^\s*(\w+)/.exec(sql)?.[1]?.toUpperCase();
      return { rows, rowCount: affectedRows ?? 0, command };
    };
    const client = Object.assign(new EventEmitter(), { query, release });
    connected?.(undefined, client, release);
    return client;
  }

  /** The code that opened the database closes it. */
  async end(ended?: () => void): Promise<void> {
    ended?.();
  }
}
