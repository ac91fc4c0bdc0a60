import {
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import {
  everything,
  keysOf,
  matchesPattern,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { setTimeout as delay } from 'node:timers/promises';
import { L2Client } from './l2.client.js';

const PREFIX = 'gateway:l2:';
const TTL_MS = 300_000;
/** Keys looked at in one step of a sweep: small, for Redis does nothing else meanwhile. */
const STEP = 500;
const RETRY_MS = 100;

/**
 * Copies in Redis, shared by all instances of the gateway. Never throws: what
 * cannot be read is a miss.
 *
 * An eviction that Redis did not take must not be forgotten, so the whole store
 * is then passed by until all of it has been swept; likewise at the start, since
 * what was said while no gateway ran was heard by none.
 */
@Injectable()
export class L2Store implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger(L2Store.name);
  /** Globs whose sweep has not finished: what they match may still be there. */
  readonly #sweeping = new Set<{ readonly glob: string }>();
  #closed = false;

  constructor(private readonly redis: L2Client) {}

  onModuleInit(): void {
    this.#sweep(everything().pattern);
  }

  onApplicationShutdown(): void {
    this.#closed = true;
  }

  /** @returns the value as JSON */
  async get(key: string): Promise<string | null> {
    if (this.#isDoubtful(key)) return null;
    return this.redis.get(PREFIX + key).catch(() => null);
  }

  set(key: string, json: string): void {
    this.redis.set(PREFIX + key, json, 'PX', TTL_MS).catch(() => {
      // Whether Redis has it is unknown, and harmless: it was fresh.
    });
  }

  /** What is read after this call returned is not what was evicted. */
  evict(message: InvalidationMessage): void {
    const keys = keysOf(message);
    if (keys === null) {
      this.#sweep(message.pattern ?? everything().pattern);
    } else if (keys.length > 0) {
      this.redis
        .unlink(keys.map((key) => PREFIX + key))
        .catch(() => this.#sweep(everything().pattern));
    }
  }

  #isDoubtful(key: string): boolean {
    for (const { glob } of this.#sweeping) {
      if (matchesPattern(glob, key)) return true;
    }
    return false;
  }

  /** Deletes all that match, however often it takes. */
  #sweep(glob: string): void {
    const sweep = { glob };
    this.#sweeping.add(sweep);
    void this.#sweepUntilDone(glob).then(() => this.#sweeping.delete(sweep));
  }

  async #sweepUntilDone(glob: string): Promise<void> {
    while (!this.#closed) {
      try {
        return await this.#sweepOnce(glob);
      } catch (error) {
        this.#logger.debug(`Sweep of ${glob} failed: ${String(error)}`);
        await delay(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  async #sweepOnce(glob: string): Promise<void> {
    let cursor = '0';
    do {
      const [next, found] = await this.redis.scan(
        cursor,
        'MATCH',
        PREFIX + glob,
        'COUNT',
        STEP,
      );
      if (found.length > 0) await this.redis.unlink(found);
      cursor = next;
    } while (cursor !== '0');
  }
}
