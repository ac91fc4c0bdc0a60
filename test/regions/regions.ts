import { onTestFinished } from 'vitest';
import type { RegionSource } from 'nestjs-cache-invalidation';
import {
  startApp,
  uniqueChannel,
  type AppOptions,
  type TestApp,
} from '../support/app.js';
import { startRedis, type RedisServer } from '../support/redis.js';

/** Quick heartbeats: nothing in these tests waits for the default ones. */
export const QUICK = {
  heartbeatInterval: 100,
  heartbeatTimeout: 500,
  startupTimeout: 2_000,
} as const;

/** A region: a Redis of its own, and a name. */
export interface Region {
  readonly name: string;
  readonly redis: RedisServer;
  readonly channel: string;
  /** Starts an application in this region. */
  app(
    sources?: Record<string, Region | RegionSource>,
    options?: AppOptions,
  ): Promise<TestApp>;
}

export async function startRegion(
  name: string,
  channel = uniqueChannel(),
): Promise<Region> {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  return {
    name,
    redis,
    channel,
    app: (sources = {}, options = {}) =>
      startApp({
        connection: redis.url,
        channel,
        serviceName: `${name}-service`,
        ...QUICK,
        regions: {
          local: name,
          sources: Object.fromEntries(
            Object.entries(sources).map(([source, region]) => [
              source,
              'redis' in region ? { connection: region.redis.url } : region,
            ]),
          ),
        },
        ...options,
      }),
  };
}

/** Regions on channels of one name. */
export async function startRegions(...names: string[]): Promise<Region[]> {
  const channel = uniqueChannel();
  return Promise.all(names.map((name) => startRegion(name, channel)));
}
