import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  constants,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { EmbeddedValkey } from '../../sample-app/demo/embedded-valkey.js';
import type { Certificates } from './certificates.js';
import { eventually } from './eventually.js';
import { guard } from './guard.js';

/** @internal */
export const HOST = '127.0.0.1';

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** The port for TLS, if the server has one. */
  readonly tlsPort: number | undefined;
  readonly kind: 'redis-server' | 'embedded';
  /** Changes with every restart; undefined when embedded, which has no process of its own. */
  readonly pid: number | undefined;
  /** Ends the server and removes its files; resolves when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL, or the nearest to it when embedded: every connection drops at once. */
  kill(): void;
  /** Ends the server if it still runs and starts an empty one on the same port. */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. @throws when embedded */
  pause(): void;
  /** SIGCONT. @throws when embedded */
  resume(): void;
}

export interface StartRedisOptions {
  /** Command line arguments for `redis-server`, which win over the harness' own. */
  args?: string[];
  /**
   * `true` insists on a `redis-server`, which only tests under the mark of
   * redis-server.ts may do; `false` on the embedded Valkey. Default: whichever
   * there is.
   */
  real?: boolean;
  /** Opens a second port, for TLS, whose clients must present a certificate. */
  tls?: Certificates | undefined;
}

/** Whether this machine has a `redis-server`; tests are marked by redis-server.ts. */
export function hasRedisServer(): boolean {
  return findRedisServer() !== undefined;
}

/** Number of nested marks of the running test. */
let marks = 0;

/** @returns a function that ends the mark */
export function markRedisServer(): () => void {
  marks++;
  return () => void marks--;
}

/**
 * Fails without a mark, even on a machine with a server: otherwise the author
 * would not notice.
 */
function mustBeMarked(what: string): void {
  if (marks > 0) return;
  throw new Error(
    `${what} needs a redis-server, and this test is not marked so: put it in describeOnRedisServer() or itOnRedisServer() of test/support/redis-server.ts, which skip it where there is none.`,
  );
}

/**
 * Starts a Redis of the test's own and resolves once it answers.
 *
 * @throws when a `redis-server` is needed and there is none. In CI it is
 * always needed, for there nothing may be skipped.
 *
 * @example
 * const redis = await startRedis();
 * onTestFinished(() => redis.stop());
 */
export async function startRedis({
  args = [],
  tls,
  real = tls && true,
}: StartRedisOptions = {}): Promise<RedisServer> {
  // Either kind of server will do by default.
  if (real === undefined && args.length === 0) {
    if (mustBeReal() || hasRedisServer())
      return spawnServer({ args: EPHEMERAL });
  } else if (real !== false) {
    return startProcess({ args: [...EPHEMERAL, ...args], tls });
  }
  if (args.length > 0) throw notEmbedded('args');
  return EmbeddedServer.start(await freePort());
}

/** No persistence: these servers live as long as one test. */
const EPHEMERAL = ['--save', '', '--appendonly', 'no'];

interface ProcessOptions {
  args: string[];
  /** A configuration file's text. Sentinel demands a file, since it keeps its state there. */
  config?: string;
  tls?: Certificates | undefined;
}

/** @throws in a test that is not marked as one that needs a `redis-server`. */
export async function startProcess(
  options: ProcessOptions,
): Promise<RedisServer> {
  mustBeMarked(
    options.config ? 'A Sentinel' : 'startRedis() with args or { real: true }',
  );
  return spawnServer(options);
}

async function spawnServer(options: ProcessOptions): Promise<RedisServer> {
  const binary = findRedisServer();
  if (!binary) throw noRedisServer();
  const ports = {
    port: await freePort(),
    tlsPort: options.tls && (await freePort()),
  };
  const server = new RedisProcess(binary, ports, options);
  return orStop(server, () => server.start());
}

class RedisProcess implements RedisServer {
  readonly kind = 'redis-server';
  readonly url: string;
  readonly port: number;
  readonly tlsPort: number | undefined;
  readonly #dir = mkdtempSync(join(tmpdir(), 'redis-server-'));
  readonly #log = join(this.#dir, 'redis.log');
  readonly #command: string[];
  #child: ChildProcess | undefined;

  constructor(
    private readonly binary: string,
    { port, tlsPort }: Pick<RedisServer, 'port' | 'tlsPort'>,
    { args, config, tls }: ProcessOptions,
  ) {
    this.port = port;
    this.tlsPort = tlsPort;
    this.url = `redis://${HOST}:${port}`;
    const file = join(this.#dir, 'redis.conf');
    if (config) writeFileSync(file, config);
    const own = ['--bind', HOST, '--port', `${port}`, '--dir', this.#dir];
    const secure = tls ? tlsArguments(tls, tlsPort) : [];
    this.#command = [...(config ? [file] : []), ...own, ...secure, ...args];
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const child = this.#spawn();
    this.#child = child;
    const died = once(child, 'exit').then(() => {
      throw new Error(
        `redis-server did not start:\n${readFileSync(this.#log, 'utf8')}`,
      );
    });
    await Promise.race([eventually(() => answers(this.port)), died]);
  }

  async stop(): Promise<void> {
    await this.#end();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.#end();
    await this.start();
  }

  pause(): void {
    mustBeMarked('pause()');
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** SIGKILL, for a paused server ignores SIGTERM, a master waits for its replicas, and there is nothing to save. */
  async #end(): Promise<void> {
    const child = this.#child;
    if (!child || hasExited(child)) return;
    const exited = once(child, 'exit');
    child.ref();
    child.kill('SIGKILL');
    await exited;
  }

  #spawn(): ChildProcess {
    const log = openSync(this.#log, 'a');
    const child = spawn(this.binary, this.#command, {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    if (child.pid !== undefined) guard(child, child.pid, this.#dir);
    return child;
  }
}

function tlsArguments(
  { ca, server }: Certificates,
  port: number | undefined,
): string[] {
  return Object.entries({
    '--tls-port': `${port}`,
    '--tls-auth-clients': 'yes',
    '--tls-ca-cert-file': ca,
    '--tls-cert-file': server.cert,
    '--tls-key-file': server.key,
  }).flat();
}

/** The stand-in on machines without a `redis-server`, in this very process. */
class EmbeddedServer implements RedisServer {
  readonly kind = 'embedded';
  readonly pid = undefined;
  readonly tlsPort = undefined;

  private constructor(private valkey: EmbeddedValkey) {}

  static async start(port: number): Promise<EmbeddedServer> {
    return new EmbeddedServer(await startEmbedded(port));
  }

  get url(): string {
    return this.valkey.url;
  }

  get port(): number {
    return this.valkey.port;
  }

  stop(): Promise<void> {
    return this.valkey.stop();
  }

  kill(): void {
    void this.valkey.stop();
  }

  async restart(): Promise<void> {
    await this.valkey.stop();
    this.valkey = await startEmbedded(this.port);
  }

  pause(): void {
    throw notEmbedded('pause()');
  }

  resume(): void {
    throw notEmbedded('resume()');
  }
}

/** Loaded on demand: importing it makes Node warn that WASI is experimental. */
async function startEmbedded(port: number): Promise<EmbeddedValkey> {
  const { EmbeddedValkey } =
    await import('../../sample-app/demo/embedded-valkey.js');
  return EmbeddedValkey.start(port);
}

function mustBeReal(): boolean {
  return Boolean(process.env.CI);
}

function notEmbedded(what: string): Error {
  return new Error(
    `${what} needs a redis-server and this is the embedded Valkey: start it with { real: true }.`,
  );
}

function noRedisServer(): Error {
  const who = process.env.CI ? 'A run in CI' : 'This test';
  return new Error(
    `${who} needs a redis-server and this machine has none: install it ` +
      '(apt-get install redis-server, brew install redis) or set REDIS_SERVER to its path.',
  );
}

function findRedisServer(): string | undefined {
  const { REDIS_SERVER, PATH = '' } = process.env;
  if (!REDIS_SERVER) {
    return PATH.split(delimiter)
      .map((folder) => join(folder, 'redis-server'))
      .find(isExecutable);
  }
  if (isExecutable(REDIS_SERVER)) return REDIS_SERVER;
  throw new Error(
    `REDIS_SERVER is set to ${REDIS_SERVER}, which is not an executable file.`,
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function hasExited({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/**
 * A port outside the system's ephemeral range: while a server is down, an
 * outgoing connection could take an ephemeral port, even that of the client
 * which reconnects to it, and the restart would fail. The cluster bus uses port
 * + 10000.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_240 + Math.floor(Math.random() * 10_000);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await once(probe.listen(port, HOST), 'listening');
    await once(probe.close(), 'close');
    return true;
  } catch {
    return false;
  }
}

/** Resolves at any reply: with a password set it is NOAUTH. */
async function answers(port: number): Promise<void> {
  const socket = connect(port, HOST);
  try {
    socket.write('PING\r\n');
    await once(socket, 'data', { signal: AbortSignal.timeout(1000) });
  } finally {
    socket.destroy();
  }
}

/** Stops the server if the rest of its start fails. */
export async function orStop<T extends { stop(): Promise<void> }>(
  started: T,
  completeStart: () => Promise<void>,
): Promise<T> {
  try {
    await completeStart();
    return started;
  } catch (error) {
    await started.stop();
    throw error;
  }
}
