import { Injectable } from '@nestjs/common';
import {
  NearCacheFactory,
  type NearCache,
  type NearCacheStats,
} from 'nestjs-cache-invalidation';
import { ServiceClient } from '../shared/service.client.js';
import { KEPT } from './kept.js';
import { SourceInterceptor } from './source.interceptor.js';

/**
 * Copies of users, in a near cache made by hand: the demo looks into it, and `@Cached`
 * does not expose its cache.
 */
@Injectable()
export class UserCopies {
  readonly #users: NearCache<unknown>;

  constructor(
    caches: NearCacheFactory,
    private readonly services: ServiceClient,
  ) {
    this.#users = caches.create('User', KEPT);
  }

  find(id: number): Promise<unknown> {
    const isInMemory = this.#users.peek(id) !== undefined;
    SourceInterceptor.found(isInMemory ? 'L1' : 'L2');
    return this.#users.get(id, () => {
      SourceInterceptor.found('MISS');
      return this.services.get('user-service', `/users/${id}`);
    });
  }

  get stats(): NearCacheStats {
    return this.#users.stats;
  }
}
