import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { settlesWithin } from '../common/index.js';
import { InvalidationTimeoutError } from '../errors/index.js';
import { ErrorReporter } from '../stream/index.js';
import { BegunWork } from './begun-work.js';
import { OutboxRelay } from './outbox-relay.js';
import { PublishPipeline } from './publish-pipeline.js';
import { PublishQueue } from './publish-queue.js';
import { openScopes, scopeDepth } from './scope-context.js';

/** @internal */
export interface ShutdownOptions {
  readonly enabled: boolean;
  /** How long to go on publishing at the shutdown, in milliseconds. */
  readonly shutdownTimeout: number;
  readonly publishTimeout: number;
}

/**
 * Ends publishing: waits for begun work and for Redis, all within
 * `shutdownTimeout`, and reports what is lost.
 *
 * @internal
 */
@Injectable()
export class PublisherShutdown {
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: ShutdownOptions,
    private readonly work: BegunWork,
    private readonly pipeline: PublishPipeline,
    private readonly queue: PublishQueue,
    private readonly relay: OutboxRelay,
    private readonly errors: ErrorReporter,
  ) {}

  async run(): Promise<void> {
    const { shutdownTimeout, publishTimeout, enabled } = this.options;
    const since = performance.now();
    // A shutdown from within a scope cannot wait for that one.
    const own = scopeDepth();
    if (enabled) {
      // Some of the time is for what the work publishes last.
      const share = Math.min(publishTimeout, shutdownTimeout / 2);
      await settlesWithin(shutdownTimeout - share, this.#workDone(own));
      // A transaction may commit after the shutdown, when nothing can be published.
      for (const scope of openScopes().holding) scope.publishEarly();
    }
    const left = shutdownTimeout - (performance.now() - since);
    await settlesWithin(Math.max(0, left), this.queue.whenIdle());
    this.pipeline.close();
    this.queue.close();
    this.relay.close();
    if (enabled) this.#reportWork(openScopes().work.count - own);
    this.#reportLost();
  }

  async #workDone(ownScopes: number): Promise<void> {
    await this.work.whenDone();
    await openScopes().work.whenDone(ownScopes);
  }

  #reportWork(scopes: number): void {
    if (this.work.count + scopes === 0) return;
    const { shutdownTimeout } = this.options;
    const subjects = this.work.subjects().join(', ');
    const begun = [
      countOf(this.work.count, 'decorated call', ` (${subjects})`),
      countOf(scopes, 'scope'),
    ].filter((count) => count !== '');
    this.errors.report(
      new InvalidationTimeoutError(
        `At the end of the shutdown (${shutdownTimeout} ms) there was still work under way: ${begun.join(', ')}. What it changes from now on is lost to other instances.`,
        'Other instances keep stale entries until their TTL; end such work earlier, or raise shutdownTimeout.',
        shutdownTimeout,
      ),
      'shutdown-work',
    );
  }

  #reportLost(): void {
    const { pending } = this.queue;
    if (pending === 0) return;
    const { shutdownTimeout } = this.options;
    this.errors.report(
      new InvalidationTimeoutError(
        `${pending} invalidations could not be sent within ${shutdownTimeout} ms of shutdown and are lost.`,
        'Other instances keep stale entries until their TTL; raise shutdownTimeout, or repair Redis.',
        shutdownTimeout,
      ),
      'shutdown',
    );
  }
}

function countOf(count: number, noun: string, more = ''): string {
  if (count === 0) return '';
  return `${count} ${noun}${count === 1 ? '' : 's'}${more}`;
}
