import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import {
  affects,
  keysOf,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { LoadsInFlight } from '../shared/loads-in-flight.js';
import { L2Store } from './l2.store.js';

/** Where a value was found; `MISS`: nowhere, it was loaded from its owner. */
export type Source = 'L1' | 'L2' | 'MISS';

export interface Read {
  readonly value: unknown;
  readonly source: Source;
}

const MAX_ENTRIES = 10_000;

/** The net under the net: what no message told of is old for so long at most. */
const TTL_MS = 60_000;

/**
 * L1 in this process, L2 in Redis, the owner of the row behind them.
 *
 * A load that an invalidation overtakes is not stored. One race is left open:
 * another instance may store its old value in L2 after this one evicted the key
 * and before it hears of it itself, and whoever reads L2 in that moment keeps
 * that value in L1. Fences, which a later version of the library brings, close
 * it; until then the TTL of L1 bounds it.
 */
@Injectable()
export class TieredCache {
  readonly #l1 = new LRUCache<string, { readonly value: unknown }>({
    max: MAX_ENTRIES,
    ttl: TTL_MS,
  });
  readonly #loads = new LoadsInFlight<Read>();

  constructor(private readonly l2: L2Store) {}

  /** The keys of L1, for who wants to look inside. */
  get keys(): string[] {
    return [...this.#l1.keys()];
  }

  async get(key: string, load: () => Promise<unknown>): Promise<Read> {
    const entry = this.#l1.get(key);
    if (entry !== undefined) return { value: entry.value, source: 'L1' };
    return this.#loads.run(
      key,
      () => this.#load(key, load),
      (read) => this.#store(key, read),
    );
  }

  /**
   * Returns nothing to wait for: a sweep of L2 takes its time, and the next
   * message must not wait for it. L2 goes first, lest L1 be filled from it again.
   */
  @OnInvalidation()
  evict(message: InvalidationMessage): void {
    this.l2.evict(message);
    this.#loads.forget((key) => affects(message, key));
    const named = keysOf(message);
    const affected =
      named ?? [...this.#l1.keys()].filter((key) => affects(message, key));
    for (const key of affected) this.#l1.delete(key);
  }

  async #load(key: string, load: () => Promise<unknown>): Promise<Read> {
    const json = await this.l2.get(key);
    if (json !== null) return { value: JSON.parse(json), source: 'L2' };
    return { value: await load(), source: 'MISS' };
  }

  #store(key: string, { value, source }: Read): void {
    this.#l1.set(key, { value });
    if (source === 'MISS') this.l2.set(key, JSON.stringify(value));
  }
}
