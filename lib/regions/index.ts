export * from './region-relay.js';
export * from './region-relays.js';
export * from './regions.options.js';
export * from './relay-log.js';
export * from './server-check.js';
