import type { NearCacheOptions } from 'nestjs-cache-invalidation';

/**
 * In memory, and in Redis for the other instances of the gateway. The times are
 * the net under the net: invalidations keep both tiers right.
 */
export const KEPT: NearCacheOptions = {
  ttl: 60_000,
  l2: {
    ttl: 300_000,
    keyPrefix: process.env['GATEWAY_L2_PREFIX'] ?? 'sample-app:gateway:',
  },
};
