export * from './discovered-classes.js';
export * from './invalidation-handlers.explorer.js';
export * from './module-need.js';
