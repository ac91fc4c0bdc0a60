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
