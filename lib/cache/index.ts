export * from './bind-cache.js';
export * from './bindable.cache.js';
export { type DependencySelector } from './dependencies.js';
export * from './l2.tier.js';
export * from './near-cache.factory.js';
export * from './near-cache.options.js';
export * from './near.cache.js';
export {
  json,
  structured,
  type L2Serializer,
  type ValueClass,
} from './serializers.js';
export * from './url-keys.js';
