export {
  CacheInvalidationTestingModule,
  type TestingModuleOptions,
} from './cache-invalidation-testing.module.js';
export { InMemoryBroker, type OverridableModule } from './in-memory-broker.js';
export {
  invalidationMatchers,
  type InvalidationExpectation,
  type InvalidationMatchers,
  type MatcherResult,
} from './invalidation-matchers.js';
export { InvalidationRecorder } from './invalidation-recorder.js';
export { settled, type AppWithProviders } from './settled.js';
