import type { NearCacheOptions } from 'nestjs-cache-invalidation';

/**
 * Options of the gateway's caches: in memory, and in Redis for the other instances.
 * Invalidations keep both tiers right; the TTLs are only a second safety net.
 */
export const KEPT: NearCacheOptions = {
  ttl: 60_000,
  l2: {
    ttl: 300_000,
    keyPrefix: process.env['GATEWAY_L2_PREFIX'] ?? 'sample-app:gateway:',
  },
};
