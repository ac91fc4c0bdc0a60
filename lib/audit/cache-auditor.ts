import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import { ErrorReporter, InvalidationStream, unheard } from '../stream/index.js';
import type {
  AuditableCache,
  CacheAuditOptions,
  TruthLoader,
} from './cache-audit.options.js';
import {
  AuditCounts,
  type CacheAuditReport,
  type StaleCopy,
} from './cache-audit-report.js';
import { AuditRun } from './audit-run.js';

/** Number of audits at which a warning is logged: a leak is likely. */
const MANY = 250;

/**
 * Measures in production how often cached copies are stale. It follows a sample of the
 * invalidated keys: 1, 5 and 60 s later it compares the cached copy, if there is one,
 * with the value that the application loads. It does nothing until `watch()`.
 *
 * A copy that differs is compared once more a second later, so that a change whose
 * invalidation is still on its way is no false alarm: the copy counts as stale only if
 * nothing has invalidated it until then.
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

  /** Stale copies, without their values. Completes at the shutdown. */
  readonly stale$: Observable<StaleCopy> = this.#stale.asObservable();

  /** @internal */
  constructor(
    private readonly stream: InvalidationStream,
    private readonly errors: ErrorReporter,
  ) {}

  /**
   * Audits a cache until the returned function is called, or until the shutdown.
   *
   * @param cache a near cache, or the type and a `peek` function of any other cache
   * @param load loads committed data past every cache, not from a replica that lags; its
   * errors are counted and reported
   * @returns a function that ends it
   * @throws InvalidationConfigurationError that names every bad option, and with
   * `role: 'publisher'`
   * @throws InvalidMessageError for an impossible type
   */
  watch<V>(
    cache: AuditableCache<V>,
    load: TruthLoader<V>,
    options: CacheAuditOptions<V> = {},
  ): () => void {
    if (!this.stream.receives) throw unheard('CacheAuditor');
    const audit = new AuditRun<V>(cache, load, options, {
      fences: this.stream.fences,
      counts: this.#counts,
      errors: this.errors,
      onStale: (stale) => this.#stale.next(stale),
    });
    if (this.#stopped) return () => {};
    const subscription = this.stream.messages$.subscribe((message) =>
      audit.receive(message),
    );
    const stop = (): void => {
      subscription.unsubscribe();
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

  /** Results of all watched caches since the start. */
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
