import { Injectable } from '@nestjs/common';
import { HandlerFailedError, InvalidationRedisError } from '../errors/index.js';
import {
  escapePattern,
  everything,
  patternOf,
  prefixesOf,
  type Invalidation,
} from '../message/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import type { ErrorReporter, InvalidationMeter } from '../stream/index.js';
import type { Announcement } from './announcement.js';

/**
 * What decorated methods call after they succeeded. Whatever goes wrong here is
 * reported, and never reaches the method's caller.
 *
 * @internal
 */
@Injectable()
export class InvalidationAnnouncer {
  constructor(
    private readonly enabled: boolean,
    private readonly publisher: InvalidationPublisher,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {}

  /**
   * @param method class and method, for logs
   * @returns what to wait for before the method returns; `null` for nothing
   */
  announce(
    method: string,
    announcements: readonly Announcement[],
    args: readonly unknown[],
    result: unknown,
  ): Promise<unknown> | null {
    const selected = this.#select(method, announcements, args, result);
    const [only] = selected;
    if (only === undefined) return null;
    // What is published here in one go leaves in one pipeline.
    return selected.length === 1
      ? this.#publish(method, only)
      : Promise.all(selected.map((one) => this.#publish(method, one)));
  }

  /** The same for a method that cannot wait. */
  announceAtOnce(
    method: string,
    announcements: readonly Announcement[],
    args: readonly unknown[],
    result: unknown,
  ): void {
    for (const invalidation of this.#select(
      method,
      announcements,
      args,
      result,
    )) {
      this.#publishAtOnce(method, invalidation);
    }
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
    this.#failed(method, cause);
    for (const instead of insteadOf(invalidation, cause)) {
      try {
        await this.publisher.publishChecked(instead);
        return;
      } catch {
        // The next one is coarser, and the last one always fits.
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
    this.#failed(method, cause);
    for (const instead of insteadOf(invalidation, cause)) {
      try {
        return this.publisher.publishAtOnce(instead);
      } catch {
        // The next one is coarser, and the last one always fits.
      }
    }
  }

  #select(
    method: string,
    announcements: readonly Announcement[],
    args: readonly unknown[],
    result: unknown,
  ): readonly Invalidation[] {
    if (!this.enabled) return [];
    const failed = (cause: unknown): void => this.#failed(method, cause);
    const say = (announcement: Announcement): readonly Invalidation[] => {
      try {
        return announcement(args, result, failed);
      } catch (cause) {
        failed(cause);
        return [everything()];
      }
    };
    const [only] = announcements;
    return announcements.length === 1 && only !== undefined
      ? say(only)
      : announcements.flatMap(say);
  }

  #failed(method: string, cause: unknown): void {
    this.meter.handlerFailed();
    this.errors.report(
      // After shutdown nothing is wrong with the decorator.
      cause instanceof InvalidationRedisError
        ? cause
        : new HandlerFailedError(
            method,
            'succeeded, but what its decorator was given failed',
            'Something coarser was invalidated instead; mend the selector, condition or metadata.',
            cause,
          ),
      method,
    );
  }
}

/**
 * What to try in place of what cannot be said, because it is too large or its
 * metadata is not JSON; each covers it, and is coarser than the one before.
 */
function insteadOf(
  invalidation: Invalidation,
  cause: unknown,
): readonly Invalidation[] {
  // The application has shut down: nothing at all can be said.
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
