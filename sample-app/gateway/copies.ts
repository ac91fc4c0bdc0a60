import { Injectable } from '@nestjs/common';
import { Cached } from 'nestjs-cache-invalidation';
import { ServiceClient } from '../shared/service.client.js';
import type { ServiceName } from '../shared/services.js';
import { KEPT } from './kept.js';
import { SourceInterceptor } from './source.interceptor.js';

/**
 * Reads of other services, whose results the gateway keeps. Errors, such as "not
 * found", are not kept.
 */
@Injectable()
export class Copies {
  constructor(private readonly services: ServiceClient) {}

  @Cached('Post', (id: number) => id, KEPT)
  post(id: number): Promise<unknown> {
    return this.#load('content-service', `/posts/${id}`);
  }

  /** Each page is an entry: `feed:42:1`. */
  @Cached('Feed', (userId: number, page: number) => `${userId}:${page}`, KEPT)
  feed(userId: number, page: number): Promise<unknown> {
    return this.#load('social-service', `/users/${userId}/feed?page=${page}`);
  }

  @Cached('Notification', (userId: number) => userId, KEPT)
  notifications(userId: number): Promise<unknown> {
    return this.#load(
      'communication-service',
      `/users/${userId}/notifications`,
    );
  }

  #load(service: ServiceName, path: string): Promise<unknown> {
    SourceInterceptor.found('MISS');
    return this.services.get(service, path);
  }
}
