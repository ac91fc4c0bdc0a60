export * from './delivery.cursor.js';
export * from './error.reporter.js';
export * from './fences.js';
export * from './invalidation.consumer.js';
export * from './invalidation.meter.js';
export * from './invalidation.stream.js';
export * from './is-promise-like.js';
export * from './operators.js';
