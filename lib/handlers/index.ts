export * from './invalidation-handlers.explorer.js';
