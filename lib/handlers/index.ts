export * from './discovered-classes.js';
export * from './invalidation-handlers.explorer.js';
export { isImported, modulesOf, needsModule } from './module.need.js';
