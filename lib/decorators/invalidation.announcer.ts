import { Injectable } from '@nestjs/common';
import { HandlerFailedError } from '../errors/index.js';
import type { Invalidation } from '../message/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import type { ErrorReporter, InvalidationMeter } from '../stream/index.js';

/** What one decorator makes of a call that succeeded. @internal */
export type Announcement = (
  args: readonly unknown[],
  result: unknown,
) => readonly Invalidation[];

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
    let last: Promise<unknown> | null = null;
    for (const invalidation of this.#select(
      method,
      announcements,
      args,
      result,
    )) {
      const published = this.publisher
        .publish(invalidation)
        .catch((error: unknown) => this.#failed(method, error));
      // One pipeline answers them in order, but a failure must not be skipped.
      last = last === null ? published : Promise.all([last, published]);
    }
    return last;
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
      try {
        this.publisher.publishAtOnce(invalidation);
      } catch (error) {
        this.#failed(method, error);
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
    const selected: Invalidation[] = [];
    for (const announcement of announcements) {
      try {
        selected.push(...announcement(args, result));
      } catch (error) {
        this.#failed(method, error);
      }
    }
    return selected;
  }

  #failed(method: string, cause: unknown): void {
    this.meter.handlerFailed();
    this.errors.report(
      new HandlerFailedError(
        method,
        'succeeded, but what to invalidate could not be told',
        'Caches keep the old value until TTL; mend the selector of its decorator.',
        cause,
      ),
      method,
    );
  }
}
