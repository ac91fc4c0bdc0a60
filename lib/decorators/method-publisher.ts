import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import {
  CallbackFailedError,
  InvalidationConfigurationError,
  InvalidationRedisError,
  type CacheInvalidationError,
} from '../errors/index.js';
import {
  escapePattern,
  everything,
  patternOf,
  prefixesOf,
  type CommitPosition,
  type Invalidation,
} from '../message/index.js';
import {
  BegunWork,
  PublishPipeline,
  type PublishMode,
} from '../publisher/index.js';
import { ErrorReporter, InvalidationMeter } from '../stream/index.js';

/**
 * Publishes for decorated methods. Failures are reported and never reach the caller of
 * the method.
 *
 * @internal
 */
@Injectable()
export class MethodPublisher {
  /** Whether decorators do anything. */
  readonly enabled: boolean;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) options: { readonly enabled: boolean },
    private readonly pipeline: PublishPipeline,
    /** Decorated calls under way, which the shutdown waits for. */
    readonly work: BegunWork,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {
    this.enabled = options.enabled;
  }

  /**
   * @param method class and method, for logs
   * @param at the commit of the method; `null` if it is not known
   * @returns when Redis has the invalidations, or has been waited for long enough.
   * Never rejects.
   */
  publish(
    method: string,
    invalidations: readonly Invalidation[],
    mode: PublishMode,
    at: CommitPosition | null = null,
  ): Promise<unknown> {
    const [only] = invalidations;
    // Messages published in one tick leave in one call.
    return only !== undefined && invalidations.length === 1
      ? this.#publish(method, only, mode, at)
      : Promise.all(
          invalidations.map((one) => this.#publish(method, one, mode, at)),
        );
  }

  /** Reports that a selector, condition or metadata function of a decorator failed. */
  failed(method: string, cause: unknown): void {
    this.meter.handlerFailed();
    this.errors.report(failureOf(method, cause), method);
  }

  #publish(
    method: string,
    invalidation: Invalidation,
    mode: PublishMode,
    at: CommitPosition | null,
  ): Promise<unknown> {
    try {
      return this.pipeline.publish(() => invalidation, mode, at);
    } catch (cause) {
      this.failed(method, cause);
      return this.#publishCoarser(invalidation, cause, mode);
    }
  }

  #publishCoarser(
    invalidation: Invalidation,
    cause: unknown,
    mode: PublishMode,
  ): Promise<unknown> {
    for (const coarser of coarserThan(invalidation, cause)) {
      try {
        return this.pipeline.publish(() => coarser, mode);
      } catch {
        // The next invalidation is coarser, and the last one always fits.
      }
    }
    return Promise.resolve();
  }
}

/**
 * Invalidations that cover one that is too large, or whose metadata is not JSON;
 * each is coarser than the one before.
 */
function coarserThan(
  invalidation: Invalidation,
  cause: unknown,
): readonly Invalidation[] {
  if (isOfPublisher(cause)) return [];
  const coarser: Invalidation[] = [];
  if (invalidation.metadata !== null) {
    coarser.push({ ...invalidation, metadata: null });
  }
  const [prefix, ...others] = new Set(prefixesOf(invalidation));
  if (prefix !== undefined && prefix !== '' && others.length === 0) {
    coarser.push(patternOf(`${escapePattern(prefix)}:*`));
  }
  return [...coarser, everything()];
}

function failureOf(method: string, cause: unknown): CacheInvalidationError {
  // After the shutdown the publisher fails, not the decorator.
  if (cause instanceof InvalidationRedisError) return cause;
  return cause instanceof InvalidationConfigurationError
    ? new CallbackFailedError(
        method,
        'succeeded, but what it changed was not published',
        'Copies of it go stale until their TTL, here and in other applications.',
        cause,
      )
    : new CallbackFailedError(
        method,
        'succeeded, but a selector, condition or metadata of its decorator failed',
        'A coarser invalidation was published instead; correct that function.',
        cause,
      );
}

/** Whether the application has shut down, or only receives: then nothing can be published. */
function isOfPublisher(cause: unknown): boolean {
  return (
    cause instanceof InvalidationRedisError ||
    cause instanceof InvalidationConfigurationError
  );
}
