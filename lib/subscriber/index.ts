export * from './invalidation.subscriber.js';
export * from './staleness.js';
export * from './subscription-status.js';
