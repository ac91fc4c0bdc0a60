export * from './invalidation.transport.js';
export * from './l2.store.js';
export * from './memory/in-memory.channel.js';
export * from './memory/memory.l2.store.js';
export * from './memory/memory.transport.js';
export * from './redis/redis.connection.js';
export * from './redis/redis.transport.js';
export * from './retry-delay.js';
