import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { postgresPrograms } from '../../support/postgres-programs.mjs';
import { adopt, end, hasExited, whenEnded, workFolder } from '../processes.mjs';
import { freePort, HOST } from '../redis.mjs';
import { until, within } from '../wait.mjs';
import { SCHEMA } from './tables.mjs';

const STARTED_WITHIN_MS = 20_000;
const SETTINGS = {
  shared_buffers: '32MB',
  min_wal_size: '2MB',
  max_connections: 200,
  max_prepared_transactions: 100,
};

/** A PostgreSQL whose tables are there, and empty. */
export class PostgresServer {
  /**
   * A stopped server that all others are copies of: `initdb` takes seconds.
   *
   * @type {Promise<PostgresServer> | null}
   */
  static #template = null;
  port;
  #folder;
  #settings;
  #programs;
  #child = null;
  /** Resumes the processes if this program ends; `null` while they run. */
  #guard = null;

  /** @param settings win over ours */
  static async start(settings) {
    const server = await PostgresServer.#copy(settings);
    await server.start();
    return server;
  }

  /**
   * Starts a standby of a server that was started by `start()`.
   *
   * @param address of that server
   */
  static async startStandby({ host, port, user }, settings) {
    const standby = await PostgresServer.#copy({
      primary_conninfo: `host=${host} port=${port} user=${user} dbname=postgres`,
      ...settings,
    });
    const signal = join(standby.#data, 'standby.signal');
    writeFileSync(signal, '');
    standby.#programs.own(signal);
    await standby.start();
    return standby;
  }

  static async #copy(settings) {
    PostgresServer.#template ??= PostgresServer.#prepare();
    const template = await PostgresServer.#template;
    const server = new PostgresServer(await freePort(), settings);
    execFileSync('cp', ['-a', template.#data, server.#data]);
    return server;
  }

  static async #prepare() {
    const server = new PostgresServer(await freePort(), {});
    // Small segments, so that a slot soon needs more than it may keep.
    server.#programs.initialise(server.#data, '--wal-segsize=1');
    await server.start();
    await server.sql(SCHEMA);
    await server.shutDown();
    return server;
  }

  constructor(port, settings) {
    this.port = port;
    this.#settings = settings;
    this.#folder = workFolder();
    this.#programs = postgresPrograms(this.#folder);
    this.#programs.own(this.#folder);
  }

  /** Options of a client that knows nothing of the library. */
  get address() {
    return { host: HOST, port: this.port, user: 'postgres' };
  }

  /** Resolves once the server answers. */
  async start() {
    const child = this.#programs.spawn(this.#data, this.#log, {
      port: this.port,
      ...SETTINGS,
      ...this.#settings,
    });
    await once(child, 'spawn');
    this.#child = adopt(child, { group: true });
    const answers = () =>
      hasExited(child) || this.sql('select 1').catch(() => null);
    await until('PostgreSQL', answers, STARTED_WITHIN_MS);
    if (hasExited(child)) throw new Error(`postgres ended:\n${this.log}`);
  }

  /** Runs SQL, see `query()`. @returns the rows */
  async sql(text, values) {
    return (await this.query(text, values)).rows;
  }

  /** Runs SQL on a connection of its own. */
  async query(text, values) {
    const client = new pg.Client(this.address);
    client.on('error', () => {});
    await client.connect();
    try {
      return await client.query(text, values);
    } finally {
      await client.end();
    }
  }

  /** SIGKILL to the server and its children, as a crash. */
  async kill() {
    if (this.#child === null || hasExited(this.#child)) return;
    // One that outlived its parent could still write the log, and a stopped one stays.
    const children = this.#children();
    await end(this.#child);
    this.#signal('SIGKILL', children);
    this.#endGuard();
  }

  /** SIGSTOP to all of its processes: connections stay open and get no answer. */
  pause() {
    const { pid } = this.#child;
    process.kill(pid, 'SIGSTOP');
    this.#stop(this.#children());
  }

  /** SIGSTOP to the writer of asynchronous commits: `kill()` takes back all that follow. */
  async pauseLogWriter() {
    const [{ pid }] = await this.sql(
      "select pid from pg_stat_activity where backend_type = 'walwriter'",
    );
    this.#stop([pid]);
  }

  resume() {
    this.#signal('SIGCONT', [...this.#children(), this.#child.pid]);
    this.#endGuard();
  }

  #stop(pids) {
    this.#guard = whenEnded('kill -s CONT $1', pids.join(' '));
    this.#signal('SIGSTOP', pids);
  }

  #signal(signal, pids) {
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // The process has just ended.
      }
    }
  }

  #endGuard() {
    this.#guard?.kill('SIGKILL');
    this.#guard = null;
  }

  /** Process ids; each of them is in a process group of its own. */
  #children() {
    const { pid } = this.#child;
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return list.split(' ').filter(Boolean).map(Number);
  }

  /** Ends it in order. */
  async shutDown() {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGINT');
    await within(STARTED_WITHIN_MS, 'PostgreSQL to end', exited);
  }

  async stop() {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get log() {
    return readFileSync(this.#log, 'utf8');
  }

  get #log() {
    return join(this.#folder, 'postgres.log');
  }

  get #data() {
    return join(this.#folder, 'data');
  }
}
