import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * The journal ends more than a day ahead of the clock of Redis: a program has written an
 * entry of the future into it, or the clock was set back. No entry is added after it:
 * offsets would run out, and the order of two offsets would be unknown.
 *
 * @publicApi
 */
export class JournalAheadError extends CacheInvalidationError {
  readonly code = 'CACHE_INVALIDATION_JOURNAL_AHEAD';

  constructor(
    /** The key of the journal in Redis. */
    readonly journal: string,
    cause?: unknown,
  ) {
    super(
      `The journal ${journal} ends more than a day ahead of the clock of Redis.`,
      'Check that clock; if it is right, delete the journal (DEL): readers evict everything once, and invalidations are journaled again.',
      cause,
    );
  }
}
