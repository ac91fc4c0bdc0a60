import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { escapePattern } from '../../message/index.js';
import { L2UnavailableError, type L2Store } from '../l2.store.js';
import { nodesOf } from './cluster-nodes.js';
import { withEntryCommands, type EntryCommands } from './entry.script.js';
import { ManagedRedis } from './redis-client.js';

/** Keys that Redis looks at in one step. */
const SCAN_COUNT = 500;
/**
 * Milliseconds after which an unanswered command means that the connection is dead:
 * there is no heartbeat here, and TCP alone takes a quarter of an hour to find out.
 */
const UNANSWERED_MS = 5_000;

/**
 * Entries of the second tier, over a connection of their own.
 *
 * @internal
 */
export class RedisL2Store implements L2Store {
  readonly opened: Promise<void>;
  readonly #redis: ManagedRedis;
  readonly #client: (Redis | Cluster) & EntryCommands;

  /** @param client not connected yet */
  constructor(
    client: Redis | Cluster,
    onError: (cause: Error) => void,
    answerTimeout = UNANSWERED_MS,
  ) {
    this.#client = withEntryCommands(client);
    this.#redis = new ManagedRedis(client, {
      answerTimeout,
      lateError: () =>
        new L2UnavailableError(
          `It has left a command unanswered for ${answerTimeout} ms.`,
        ),
      brokenError: () => new L2UnavailableError('The connection broke.'),
      reopenWhenLate: true,
      onError,
    });
    this.opened = new Promise((resolve) => client.once('ready', resolve));
  }

  get keySpace(): string {
    const { keyPrefix = '', db = 0 } = this.#client.options as RedisOptions;
    return `${db}\n${keyPrefix}`;
  }

  open(): void {
    this.#redis.open();
  }

  get(key: string): Promise<Buffer | null> {
    return this.#redis.answered(this.#client.getBuffer(key));
  }

  async put(
    key: string,
    offset: string,
    entry: Buffer,
    ttl: number,
  ): Promise<void> {
    await this.#redis.answered(this.#client.putEntry(key, offset, entry, ttl));
  }

  async drop(key: string, offset: string): Promise<void> {
    await this.#redis.answered(this.#client.dropEntry(key, offset));
  }

  async *scan(pattern: string): AsyncIterable<string[]> {
    // ioredis adds its prefix neither to the pattern nor to the keys that are found.
    const { keyPrefix = '' } = this.#client.options;
    const match = escapePattern(keyPrefix) + pattern;
    for (const node of nodesOf(this.#client, 'master')) {
      let cursor = '0';
      do {
        const [next, keys] = await this.#redis.answered(
          node.scan(cursor, 'MATCH', match, 'COUNT', SCAN_COUNT),
        );
        cursor = next;
        if (keys.length > 0)
          yield keys.map((key) => key.slice(keyPrefix.length));
      } while (cursor !== '0');
    }
  }

  async lease(key: string, holder: string, ttl: number): Promise<boolean> {
    const taken = this.#client.takeLease(key, holder, ttl);
    return Number(await this.#redis.answered(taken)) === 1;
  }

  swap(
    key: string,
    expected: string,
    text: string,
    ttl: number,
  ): Promise<string | null> {
    return this.#redis.answered(
      this.#client.swapText(key, expected, text, ttl),
    );
  }

  async write(key: string, text: string, ttl: number): Promise<void> {
    await this.#redis.answered(this.#client.set(key, text, 'PX', ttl));
  }

  close(): void {
    this.#redis.close(new L2UnavailableError('It was closed.'));
  }
}
