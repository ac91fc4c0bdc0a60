import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { adopt, end, workFolder } from './processes.mjs';
import { until, within } from './wait.mjs';

export const HOST = '127.0.0.1';
const BINARY = process.env.REDIS_SERVER ?? 'redis-server';
const NOTHING_KEPT = ['--save', '', '--appendonly', 'no'];
/** Written before each answer: while Redis waits for the disk, it would delay that. */
export const KEEPING_DATA = ['--appendonly', 'yes', '--appendfsync', 'no'];

/** A `redis-server` process with a direct connection that bypasses every link. */
export class RedisServer {
  port;
  #args;
  #config;
  #folder = workFolder();
  #child = null;
  #admin = null;

  /**
   * @param args win over ours
   * @param config a configuration file's text, which Sentinel demands
   */
  static async create({ args = [], config = null } = {}) {
    return new RedisServer(await freePort(), args, config);
  }

  static async start(options) {
    const server = await RedisServer.create(options);
    await server.start();
    return server;
  }

  constructor(port, args, config) {
    this.port = port;
    this.#args = args;
    this.#config = config;
  }

  get address() {
    return { host: HOST, port: this.port };
  }

  /** A client for the program itself. Its commands wait while the server is away. */
  get admin() {
    if (this.#admin === null) {
      this.#admin = new Redis(this.port, HOST, {
        retryStrategy: () => 10,
        maxRetriesPerRequest: null,
      });
      this.#admin.on('error', () => {});
    }
    return this.#admin;
  }

  /** Resolves once the server answers and has loaded its data. */
  async start() {
    const log = openSync(join(this.#folder, 'redis.log'), 'a');
    const child = spawn(BINARY, this.#command(), {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    await once(child, 'spawn');
    this.#child = adopt(child);
    const died = once(child, 'exit').then(() => {
      throw new Error(`redis-server ended:\n${this.#log()}`);
    });
    // A rejection matters only until the server has answered.
    died.catch(() => {});
    await within(
      10_000,
      'redis-server',
      Promise.race([this.admin.ping(), died]),
    );
  }

  async kill() {
    if (this.#child !== null) await end(this.#child);
  }

  /** Removes the server's data after `kill()`. */
  forget() {
    for (const kept of ['appendonlydir', 'dump.rdb']) {
      rmSync(join(this.#folder, kept), { recursive: true, force: true });
    }
  }

  /** Stops the process: connections stay open and get no answer. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  resume() {
    this.#child.kill('SIGCONT');
  }

  async stop() {
    this.#admin?.disconnect();
    await this.kill();
  }

  async info(section, field) {
    const info = await this.admin.info(section);
    return new RegExp(`^${field}:(.*?)\r?$`, 'm').exec(info)?.[1];
  }

  #command() {
    const own = ['--port', this.port, '--bind', HOST, '--dir', this.#folder];
    const args = [...own, ...NOTHING_KEPT, ...this.#args];
    if (this.#config === null) return args;
    const file = join(this.#folder, 'redis.conf');
    // Sentinel rewrites this file, and needs its own version after a restart.
    if (!existsSync(file)) writeFileSync(file, this.#config);
    return [file, ...own, ...this.#args];
  }

  #log() {
    return readFileSync(join(this.#folder, 'redis.log'), 'utf8');
  }
}

/**
 * A port outside the system's ephemeral range: while a server is down, an
 * outgoing connection could take an ephemeral port, and the restart would fail.
 * The cluster bus uses port + 10000.
 */
export async function freePort() {
  return until('a free port', async () => {
    const port = 10_240 + Math.floor(Math.random() * 10_000);
    const probe = createServer();
    try {
      await once(probe.listen(port, HOST), 'listening');
      await once(probe.close(), 'close');
      return port;
    } catch {
      return null;
    }
  });
}
