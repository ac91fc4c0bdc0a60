export { InMemoryBroker, type OverridableModule } from './in-memory.broker.js';
export { InvalidationRecorder } from './invalidation.recorder.js';
export { settled, type AppWithProviders } from './settled.js';
