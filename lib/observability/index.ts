export * from './diagnostics-channels.js';
export * from './diagnostics.js';
export * from './invalidation-counters.js';
export * from './invalidation-health.js';
export * from './invalidation-metrics.js';
export * from './invalidation-stats.js';
export * from './latency-recorder.js';
export * from './metric-definitions.js';
