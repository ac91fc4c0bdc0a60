import { Injectable } from '@nestjs/common';
import type { EntityType } from '../message/index.js';
import type { InvalidationStream } from '../stream/index.js';
import { NearCache, type CacheSource } from './near.cache.js';
import type { NearCacheOptions } from './near-cache.options.js';

/**
 * Makes read-through caches that invalidations keep right.
 *
 * @example
 * ```ts
 * constructor(caches: NearCacheFactory) {
 *   this.users = caches.create<User>('User', { ttl: 60_000 });
 * }
 * find(id: string) {
 *   return this.users.get(id, () => this.repository.findById(id));
 * }
 * ```
 * @publicApi
 */
@Injectable()
export class NearCacheFactory {
  /** @internal */
  constructor(
    private readonly stream: InvalidationStream,
    private readonly source: CacheSource,
  ) {}

  /**
   * A cache of the entities of one type, for as long as the application runs: make
   * it once, not for each request.
   *
   * @throws InvalidationConfigurationError that names every bad option
   * @throws InvalidMessageError for an impossible type
   */
  create<V>(
    entityType: EntityType,
    options: NearCacheOptions = {},
  ): NearCache<V> {
    const cache = new NearCache<V>(entityType, options, this.source);
    this.stream.evict('A near cache', (message) => cache.apply(message));
    return cache;
  }
}
