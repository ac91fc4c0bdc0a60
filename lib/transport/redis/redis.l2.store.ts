import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import { escapePattern } from '../../message/index.js';
import { L2UnavailableError, type L2Store } from '../l2.store.js';
import {
  isCluster,
  keepOpen,
  refreshNodes,
  withoutCommand,
} from './redis.connection.js';

/** Keys that Redis looks at in one step. */
const SCAN_COUNT = 500;
/**
 * A connection that leaves a command unanswered for so long is dead: nobody has
 * a heartbeat here, and TCP alone takes a quarter of an hour to find out.
 */
const UNANSWERED_MS = 5_000;

/** What an entry begins with: `offset` and its two numbers. */
const READ_OFFSET = `
local function read(entry)
  local ms, seq = string.match(entry, '^(%d+)%-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local ms, seq = read(ARGV[1])
local thereMs, thereSeq = read(redis.call('GETRANGE', KEYS[1], 0, 41))
`;

/** KEYS: the entry. ARGV: its offset, itself, its TTL. */
const PUT = script(`${READ_OFFSET}
if thereMs and (thereMs > ms or thereMs == ms and thereSeq > seq) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`);

/** KEYS: the entry. ARGV: the offset of what invalidated it. */
const DROP = script(`${READ_OFFSET}
if not thereMs or thereMs < ms or thereMs == ms and thereSeq < seq then
  return redis.call('UNLINK', KEYS[1])
end
return 0`);

/** KEYS: the lease. ARGV: who wants it, for how long. */
const LEASE = script(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** @internal */
export class RedisL2Store implements L2Store {
  readonly opened: Promise<void>;
  /** What fails each, and since when it waits, oldest first. */
  readonly #unanswered = new Map<(error: Error) => void, number>();
  readonly #letEnd: () => void;
  #watch: NodeJS.Timeout | null = null;
  #closed = false;
  /** It is being disconnected, and calls itself ready until that is done. */
  #leaving = false;

  constructor(
    private readonly client: Redis | Cluster,
    private readonly onError: (cause: Error) => void,
    private readonly patience = UNANSWERED_MS,
  ) {
    client.on('error', (cause: Error) => onError(withoutCommand(cause)));
    this.#letEnd = keepOpen(client);
    client.on('close', () => {
      this.#leaving = false;
      this.#failUnanswered('The connection broke.');
    });
    this.opened = new Promise((resolve) => client.once('ready', resolve));
  }

  open(): void {
    // Its errors are told by its 'error' event.
    if (this.client.status === 'wait') this.client.connect().catch(() => null);
  }

  get(key: string): Promise<Buffer | null> {
    return this.#answered(this.client.getBuffer(key));
  }

  async put(
    key: string,
    offset: string,
    entry: Buffer,
    ttl: number,
  ): Promise<void> {
    await this.#run(PUT, key, offset, entry, ttl);
  }

  async drop(key: string, offset: string): Promise<void> {
    await this.#run(DROP, key, offset);
  }

  async *scan(pattern: string): AsyncIterable<string[]> {
    // Neither the pattern nor the keys that are found are ioredis' concern.
    const { keyPrefix = '' } = this.client.options;
    const match = escapePattern(keyPrefix) + pattern;
    const nodes = isCluster(this.client)
      ? this.client.nodes('master')
      : [this.client];
    for (const node of nodes) {
      let cursor = '0';
      do {
        const [next, keys] = await this.#answered(
          node.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT),
        );
        cursor = next;
        if (keys.length > 0)
          yield keys.map((key) => key.slice(keyPrefix.length));
      } while (cursor !== '0');
    }
  }

  async lease(key: string, holder: string, ttl: number): Promise<boolean> {
    return Number(await this.#run(LEASE, key, holder, ttl)) === 1;
  }

  async write(key: string, text: string, ttl: number): Promise<void> {
    await this.#answered(this.client.set(key, text, 'PX', ttl));
  }

  close(): void {
    this.#closed = true;
    this.#letEnd();
    this.client.disconnect();
    this.#failUnanswered('It was closed.');
  }

  async #run(
    { sha, text }: Script,
    key: string,
    ...args: (string | number | Buffer)[]
  ): Promise<unknown> {
    try {
      return await this.#answered(this.client.evalsha(sha, 1, key, ...args));
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return this.#answered(this.client.eval(text, 1, key, ...args));
    }
  }

  /**
   * Settles in any case: what was sent over a connection that broke, and is not
   * sent again, ioredis leaves unsettled.
   */
  #answered<T>(sent: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#unanswered.delete(fail);
        this.#learn(error);
        reject(withoutCommand(error));
      };
      this.#unanswered.set(fail, performance.now());
      if (!this.#closed) this.#watch ??= this.#watchFor(this.patience);
      sent.then((answer) => {
        this.#unanswered.delete(fail);
        resolve(answer);
      }, fail);
    });
  }

  /** Some refusals say that the connection leads to the wrong server by now. */
  #learn({ message }: Error): void {
    if (this.#closed) return;
    refreshNodes(this.client);
    if (message.includes('READONLY')) this.#reconnect();
  }

  #watchFor(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#watch = null;
      const [oldest] = this.#unanswered.values();
      if (oldest === undefined) return;
      const left = oldest + this.patience - performance.now();
      if (left > 0) this.#watch = this.#watchFor(left);
      else this.#giveUp();
    }, ms);
  }

  #giveUp(): void {
    const text = `It has left a command unanswered for ${this.patience} ms.`;
    this.onError(new Error(text));
    this.#reconnect();
    this.#failUnanswered(text);
  }

  #reconnect(): void {
    // Otherwise it is about to do so by itself.
    if (this.#leaving || this.client.status !== 'ready') return;
    this.#leaving = true;
    this.client.disconnect(true);
  }

  #failUnanswered(text: string): void {
    if (this.#watch !== null) clearTimeout(this.#watch);
    this.#watch = null;
    const error = new L2UnavailableError(text);
    for (const fail of this.#unanswered.keys()) fail(error);
  }
}
