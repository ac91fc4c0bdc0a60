export * from './invalidation.stats.js';
