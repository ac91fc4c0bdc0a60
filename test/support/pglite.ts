import { PGlite } from '@electric-sql/pglite';
import { EventEmitter } from 'node:events';
import { setFlagsFromString } from 'node:v8';

/** A real PostgreSQL in this process, with one connection. */
export async function openPglite(): Promise<PGlite> {
  // As the sample app does: compiling it well takes longer than it saves.
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

/** Sequelize's `dialectModule`: as much of `pg` as it uses, one client at a time. */
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
 * As much of `pg.Pool` as Kysely and TypeORM use, with one client: whoever wants
 * it while another has it waits.
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

  /** The database is its opener's to close. */
  async end(ended?: () => void): Promise<void> {
    ended?.();
  }
}
