/**
 * Compares cached copies with their source.
 *
 * @module audit
 */
export type {
  AuditableCache,
  CacheAuditOptions,
  TruthLoader,
} from './cache-audit.options.js';
export type { CacheAuditReport, StaleCopy } from './cache-audit-report.js';
export { CacheAuditor } from './cache-auditor.js';
