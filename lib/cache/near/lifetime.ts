import type { ResolvedNearCacheOptions } from './near-cache.options.js';

/**
 * How long a value is kept, in milliseconds; 0 for not at all. Jittered, so that
 * values loaded together do not expire together.
 *
 * @param ttl of a value that exists
 * @internal
 */
export function lifetimeOf(
  value: unknown,
  ttl: number,
  {
    negativeTtl,
    ttlJitter,
  }: Pick<ResolvedNearCacheOptions<never>, 'negativeTtl' | 'ttlJitter'>,
): number {
  const exists = value !== undefined && value !== null;
  const base = exists ? ttl : Math.min(negativeTtl, ttl);
  return Math.ceil(base * (1 - ttlJitter * Math.random()));
}
