export * from './invalidation.subscriber.js';
export * from './subscription-status.js';
