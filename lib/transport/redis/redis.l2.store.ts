import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';
import type { L2Store } from '../l2.store.js';
import { isCluster, withoutCommand } from './redis.connection.js';

/** Keys that Redis looks at in one step. */
const SCAN_COUNT = 500;

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

  constructor(
    private readonly client: Redis | Cluster,
    onError: (cause: Error) => void,
  ) {
    client.on('error', (cause: Error) => onError(withoutCommand(cause)));
    this.opened = new Promise((resolve) => client.once('ready', resolve));
  }

  open(): void {
    // Its errors are told by its 'error' event.
    if (this.client.status === 'wait') this.client.connect().catch(() => null);
  }

  get(key: string): Promise<Buffer | null> {
    return this.client.getBuffer(key);
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
    const nodes = isCluster(this.client)
      ? this.client.nodes('master')
      : [this.client];
    for (const node of nodes) {
      let cursor = '0';
      do {
        const [next, keys] = await node.scan(
          cursor,
          'MATCH',
          pattern,
          'COUNT',
          SCAN_COUNT,
        );
        cursor = next;
        if (keys.length > 0) yield keys;
      } while (cursor !== '0');
    }
  }

  async lease(key: string, holder: string, ttl: number): Promise<boolean> {
    return Number(await this.#run(LEASE, key, holder, ttl)) === 1;
  }

  async write(key: string, text: string, ttl: number): Promise<void> {
    await this.client.set(key, text, 'PX', ttl);
  }

  close(): void {
    this.client.disconnect();
  }

  async #run(
    { sha, text }: Script,
    key: string,
    ...args: (string | number | Buffer)[]
  ): Promise<unknown> {
    try {
      return await this.client.evalsha(sha, 1, key, ...args);
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return this.client.eval(text, 1, key, ...args);
    }
  }
}
