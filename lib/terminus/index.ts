export { CacheInvalidationHealthIndicator } from './cache-invalidation.health-indicator.js';
