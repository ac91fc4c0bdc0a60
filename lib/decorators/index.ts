export { Cached, type CachingDecorator } from './cached.decorator.js';
export type { InvalidatingOptions } from './method-invalidation.js';
export type { SelectedIds } from './selected-ids.js';
export * from './decoration-checks.js';
export * from './start-report.js';
export * from './defer-invalidations.decorator.js';
export * from './inject-invalidation-stream.decorator.js';
export * from './invalidates-cache-pattern.decorator.js';
export * from './invalidates-cache.decorator.js';
export * from './method-publisher.js';
export * from './on-invalidation.decorator.js';
export {
  fromResult,
  type ResultSelector,
  type Selector,
  type SelectingDecorator,
} from './selector.js';
