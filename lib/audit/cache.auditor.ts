import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import { ErrorReporter, InvalidationStream } from '../stream/index.js';
import type {
  AuditableCache,
  CacheAuditOptions,
  TruthLoader,
} from './cache-audit.options.js';
import {
  AuditCounts,
  type CacheAuditReport,
  type StaleCopy,
} from './cache-audit.report.js';
import { CacheAudit } from './cache.audit.js';

/** So many audits at once are hardly meant. */
const MANY = 250;

/**
 * Measures in production what caches promise. Of the keys that invalidations
 * name it follows a sample: 1, 5 and 60 s later it compares what is cached then,
 * if anything is, with what the application loads. Does nothing until `watch`.
 *
 * A copy that differs is compared once more a second later, so that a change
 * whose invalidation is still on its way is no false alarm: it counts as stale
 * only if nothing has invalidated it until then.
 *
 * @example
 * ```ts
 * auditor.watch(users, (id) => repository.findById(id));
 * auditor.stale$.subscribe(({ key, staleFor }) => logger.warn(key, staleFor));
 * ```
 * @publicApi
 */
@Injectable()
export class CacheAuditor implements OnModuleDestroy {
  readonly #counts = new AuditCounts();
  readonly #stale = new Subject<StaleCopy>();
  readonly #stops = new Set<() => void>();
  #stopped = false;

  /** Every copy that is found stale; never its value. Completes at shutdown. */
  readonly stale$: Observable<StaleCopy> = this.#stale.asObservable();

  /** @internal */
  constructor(
    private readonly stream: InvalidationStream,
    private readonly errors: ErrorReporter,
  ) {}

  /**
   * Audits a cache from now on. It ends at shutdown by itself.
   *
   * @param cache a near cache; of any other its type and a look into it
   * @param load the truth, past every cache: from what was committed, not from a
   * replica that lags. What it throws is counted and reported, and no more
   * @returns a function that ends it
   * @throws InvalidationConfigurationError that names every bad option
   * @throws InvalidMessageError for an impossible type
   */
  watch<V>(
    cache: AuditableCache<V>,
    load: TruthLoader<V>,
    options: CacheAuditOptions<V> = {},
  ): () => void {
    const audit = new CacheAudit<V>(cache, load, options, {
      fences: this.stream.fences,
      counts: this.#counts,
      errors: this.errors,
      onStale: (stale) => this.#stale.next(stale),
    });
    if (this.#stopped) return () => {};
    const heard = this.stream.messages$.subscribe((message) =>
      audit.hear(message),
    );
    const stop = (): void => {
      heard.unsubscribe();
      audit.close();
      this.#stops.delete(stop);
    };
    this.#stops.add(stop);
    if (this.#stops.size === MANY) {
      this.errors.log(
        'warn',
        `${MANY} caches are audited, the last of ${cache.entityType}: call watch() once, in a singleton and not in a request-scoped class, or end it.`,
        'audits',
      );
    }
    return stop;
  }

  /** The report of all caches that were watched, since the start. */
  report(): CacheAuditReport {
    return this.#counts.report();
  }

  /** Ends the audits, called by Nest before it closes what the loaders need. */
  onModuleDestroy(): void {
    this.#stopped = true;
    for (const stop of this.#stops) stop();
    this.#stale.complete();
  }
}
