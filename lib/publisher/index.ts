export * from './durable.outbox.js';
export * from './invalidation.publisher.js';
export * from './offset.scope.js';
export * from './publish-receipt.js';
