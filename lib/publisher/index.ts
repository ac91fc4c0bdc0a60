export * from './cascade.js';
export * from './durable.outbox.js';
export * from './invalidation.publisher.js';
export * from './deferring.adapter.js';
export * from './deferring.data-source.js';
export * from './invalidation.scope.js';
export * from './offset.scope.js';
export * from './publish-receipt.js';
