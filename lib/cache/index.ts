export * from './binding/bind-cache.js';
export { type BindOptions } from './binding/bind.options.js';
export * from './binding/bindable-cache.js';
export { type DependencySelector } from './dependencies.js';
export * from './shared/l2-tier.js';
export { type L2Options } from './shared/l2.options.js';
export { type LoadOptions } from './near/load.options.js';
export * from './near/near-cache.factory.js';
export * from './near/near-cache.options.js';
export * from './near/near-cache.js';
export { type NearCacheStats } from './near/near-cache-stats.js';
export * from './position-source.js';
export {
  type CacheStalenessOptions,
  type CacheStalePolicy,
} from './staleness.options.js';
export {
  json,
  structured,
  type L2Serializer,
  type ValueClass,
} from './shared/serializers.js';
export * from './binding/url-keys.js';
