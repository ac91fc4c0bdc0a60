export * from './cache-audit.options.js';
export * from './cache-audit.report.js';
export * from './cache.audit.js';
export * from './cache.auditor.js';
export * from './followed.keys.js';
export * from './invalidation.stats.js';
