import {
  Controller,
  DefaultValuePipe,
  Get,
  Param,
  Query,
  Res,
} from '@nestjs/common';
import { buildCacheKey } from 'nestjs-cache-invalidation';
import type { ServerResponse } from 'node:http';
import { ParseIdPipe } from '../shared/parse-id.pipe.js';
import { ServiceClient } from '../shared/service.client.js';
import type { ServiceName } from '../shared/services.js';
import { TieredCache } from './tiered.cache.js';

/** Each answer says in `X-Cache` where it was found: `L1`, `L2` or `MISS`. */
@Controller()
export class GatewayController {
  constructor(
    private readonly cache: TieredCache,
    private readonly services: ServiceClient,
  ) {}

  @Get('users/:id')
  user(
    @Param('id', ParseIdPipe) id: number,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<unknown> {
    const key = buildCacheKey('User', id);
    return this.#read(response, key, 'user-service', `/users/${id}`);
  }

  @Get('posts/:id')
  post(
    @Param('id', ParseIdPipe) id: number,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<unknown> {
    const key = buildCacheKey('Post', id);
    return this.#read(response, key, 'content-service', `/posts/${id}`);
  }

  @Get('feeds/:userId')
  feed(
    @Param('userId', ParseIdPipe) userId: number,
    @Query('page', new DefaultValuePipe('1'), ParseIdPipe) page: number,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<unknown> {
    const key = buildCacheKey('Feed', `${userId}:${page}`);
    const path = `/users/${userId}/feed?page=${page}`;
    return this.#read(response, key, 'social-service', path);
  }

  @Get('notifications/:userId')
  notifications(
    @Param('userId', ParseIdPipe) userId: number,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<unknown> {
    const key = buildCacheKey('Notification', userId);
    const path = `/users/${userId}/notifications`;
    return this.#read(response, key, 'communication-service', path);
  }

  async #read(
    response: ServerResponse,
    key: string,
    service: ServiceName,
    path: string,
  ): Promise<unknown> {
    const { value, source } = await this.cache.get(key, () =>
      this.services.get(service, path),
    );
    response.setHeader('X-Cache', source);
    return value;
  }
}
