export * from './begun-work.js';
export * from './cascade.js';
export * from './durable.outbox.js';
export * from './invalidation.publisher.js';
export * from './invalidation.scope.js';
export * from './offset.scope.js';
export * from './publish-receipt.js';
export { VERSION } from './process.store.js';
