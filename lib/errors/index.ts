export * from './cache-invalidation.error.js';
export * from './configuration.error.js';
export * from './handler-failed.error.js';
export * from './invalid-message.error.js';
export * from './oversized-message.error.js';
export * from './redis.error.js';
export * from './serialization.error.js';
export * from './timeout.error.js';
