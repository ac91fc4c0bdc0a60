import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import {
  CallbackFailedError,
  InvalidationRedisError,
} from '../errors/index.js';
import {
  escapePattern,
  everything,
  patternOf,
  prefixesOf,
  type Invalidation,
} from '../message/index.js';
import { InvalidationPublisher, type BegunWork } from '../publisher/index.js';
import { ErrorReporter, InvalidationMeter } from '../stream/index.js';

/**
 * Publishes for decorated methods. Failures are reported and never reach the caller of
 * the method.
 *
 * @internal
 */
@Injectable()
export class InvalidationAnnouncer {
  readonly enabled: boolean;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) options: { readonly enabled: boolean },
    private readonly publisher: InvalidationPublisher,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {
    this.enabled = options.enabled;
  }

  /** Work of decorated methods that the shutdown waits for. */
  get work(): BegunWork {
    return this.publisher.work;
  }

  /**
   * @param method class and method, for logs
   * @returns a promise to await before the method returns
   */
  announce(
    method: string,
    invalidations: readonly Invalidation[],
  ): Promise<unknown> {
    const [only] = invalidations;
    // Messages that are published in one tick share a pipeline.
    return only !== undefined && invalidations.length === 1
      ? this.#publish(method, only)
      : Promise.all(invalidations.map((one) => this.#publish(method, one)));
  }

  /** As `announce`, for a method that cannot wait. */
  announceAtOnce(method: string, invalidations: readonly Invalidation[]): void {
    for (const invalidation of invalidations) {
      this.#publishAtOnce(method, invalidation);
    }
  }

  /** Reports that a selector, condition or metadata function of a decorator failed. */
  failed(method: string, cause: unknown): void {
    this.meter.handlerFailed();
    this.errors.report(
      // After the shutdown the publisher fails, not the decorator.
      cause instanceof InvalidationRedisError
        ? cause
        : new CallbackFailedError(
            method,
            'succeeded, but what its decorator was given failed',
            'Something coarser was invalidated instead; mend the selector, condition or metadata.',
            cause,
          ),
      method,
    );
  }

  #publish(method: string, invalidation: Invalidation): Promise<unknown> {
    return this.publisher
      .publishChecked(invalidation)
      .catch((error: unknown) =>
        this.#publishInstead(method, invalidation, error),
      );
  }

  async #publishInstead(
    method: string,
    invalidation: Invalidation,
    cause: unknown,
  ): Promise<void> {
    this.failed(method, cause);
    for (const instead of insteadOf(invalidation, cause)) {
      try {
        await this.publisher.publishChecked(instead);
        return;
      } catch {
        // The next invalidation is coarser, and the last one always fits.
      }
    }
  }

  #publishAtOnce(method: string, invalidation: Invalidation): void {
    try {
      this.publisher.publishAtOnce(invalidation);
    } catch (error) {
      this.#publishInsteadAtOnce(method, invalidation, error);
    }
  }

  #publishInsteadAtOnce(
    method: string,
    invalidation: Invalidation,
    cause: unknown,
  ): void {
    this.failed(method, cause);
    for (const instead of insteadOf(invalidation, cause)) {
      try {
        return this.publisher.publishAtOnce(instead);
      } catch {
        // The next invalidation is coarser, and the last one always fits.
      }
    }
  }
}

/**
 * Invalidations to publish in place of one that is too large or whose metadata is not
 * JSON. Each covers it, and is coarser than the one before.
 */
function insteadOf(
  invalidation: Invalidation,
  cause: unknown,
): readonly Invalidation[] {
  // After the shutdown nothing can be published.
  if (cause instanceof InvalidationRedisError) return [];
  const instead: Invalidation[] = [];
  if (invalidation.metadata !== null) {
    instead.push({ ...invalidation, metadata: null });
  }
  const [prefix, ...others] = new Set(prefixesOf(invalidation));
  if (prefix !== undefined && prefix !== '' && others.length === 0) {
    instead.push(patternOf(`${escapePattern(prefix)}:*`));
  }
  return [...instead, everything()];
}
