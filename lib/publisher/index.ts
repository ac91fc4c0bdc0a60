export * from './invalidation.publisher.js';
export * from './publish-receipt.js';
