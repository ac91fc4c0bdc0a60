import { CacheInvalidationError } from './cache-invalidation.error.js';

/**
 * The journal ends more than a day after what the clock of Redis says: somebody
 * has written an entry of the future into it, or that clock was set back.
 * Nothing is added behind it: offsets would run out, and nobody could say any
 * more which of two is the later.
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
      'See that this clock is right; if it is, delete the journal (DEL): readers evict everything once, and invalidations are journaled again.',
      cause,
    );
  }
}
