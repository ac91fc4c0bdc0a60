import {
  describeCause,
  InvalidationConfigurationError,
  InvalidationRedisError,
  type CacheInvalidationError,
} from '../errors/index.js';
import type { ErrorReporter } from '../stream/index.js';

/**
 * Why a relay publishes "everything" in the place of what it cannot forward.
 *
 * - `first-start`: this region has never relayed the source
 * - `missed`: messages were missed, and the journal of the source does not hold them
 * - `reconnected`: some service of the source publishes without a journal, so that the
 *   messages that were missed are unknown
 * - `unreadable`: messages of the source could not be verified, or were too large
 *
 * @publicApi
 */
export type RelayWidening =
  'first-start' | 'missed' | 'reconnected' | 'unreadable';

/** Regions that are named in errors: a source can make up any number of names. */
const UNKNOWN_LIMIT = 16;

/**
 * Counts the work of one relay, and writes its lines to the log.
 *
 * @internal
 */
export class RelayLog {
  /** Messages that were published in this region. */
  forwarded = 0;
  /** Times that "everything" was, by cause. */
  readonly widenedBy = new Map<RelayWidening, number>();
  /** Regions that an error has named. */
  readonly #unknown = new Set<string>();

  constructor(
    private readonly source: string,
    private readonly errors: ErrorReporter,
  ) {}

  holds(): void {
    const { source } = this;
    this.errors.log(
      'log',
      `This instance relays region ${source} from now on.`,
      `relay ${source}`,
    );
  }

  widened(cause: RelayWidening): void {
    const { source } = this;
    this.widenedBy.set(cause, (this.widenedBy.get(cause) ?? 0) + 1);
    this.errors.log(
      'warn',
      `Messages of region ${source} may have been missed (${cause}): everything is evicted in this region.`,
      `relay ${source} ${cause}`,
    );
  }

  /** A fault of the source's Redis that no later try can mend. */
  readonly faulty = (error: CacheInvalidationError): void =>
    this.errors.report(error, `relay ${this.source} ${error.message}`);

  /** A message was born in a region that is no source. */
  unknown(region: string): void {
    if (this.#unknown.has(region) || this.#unknown.size >= UNKNOWN_LIMIT)
      return;
    this.#unknown.add(region);
    this.faulty(
      new InvalidationConfigurationError(
        `Region ${this.source} has messages that were born in ${region}, which is no source of this region: they are not taken over from there.`,
        [],
        `If a source calls itself so (regions.local), use that name here; else make ${region} a source, or give ${this.source} transit: true.`,
      ),
    );
  }

  /** The source has a message that was published there by this region. */
  returned(): void {
    this.faulty(
      new InvalidationConfigurationError(
        `Messages that were relayed from region ${this.source} come back from there.`,
        [],
        'Either that source is this region itself, or two regions have one name: give each its own regions.local, and see "nestjs-cache-invalidation doctor".',
      ),
    );
  }

  failed(cause: Error): void {
    this.errors.report(
      new InvalidationRedisError(
        `Region ${this.source} is not relayed: ${describeCause(cause)}.`,
        'Trying again; until then copies of its data may be stale here.',
        cause,
      ),
      `relay ${this.source}`,
    );
  }
}
