import { everything, type Invalidation } from '../message/index.js';
import type { Announcement, Asked } from './announcement.js';
import { NO_ANSWER } from './answers.js';
import type { InvalidationAnnouncer } from './invalidation.announcer.js';

/** A method under one or more invalidating decorators. @internal */
export interface DecoratedMethod {
  /** Name of class and method. */
  readonly name: string;
  /** Announcements in the order in which the decorators are written. */
  readonly announcements: readonly Announcement[];
  /** Entity types and patterns, for the log. */
  readonly subjects: readonly string[];
}

/**
 * One call of a decorated method, from before its body until its work has ended. It
 * never throws: the data has changed, and the caller has its result.
 *
 * @internal
 */
export class DecoratedCall {
  readonly #asked: readonly Asked[];

  constructor(
    private readonly announcer: InvalidationAnnouncer,
    private readonly method: DecoratedMethod,
    private readonly self: unknown,
    private readonly args: readonly unknown[],
  ) {
    this.#asked = method.announcements.map((each) => each.ask(self, args));
  }

  /** Marks work that goes on after the method has returned: a shutdown waits for it. */
  begin(): void {
    this.announcer.work.begin(this.method);
  }

  /** Ends the work; to be called once for each `begin()`. */
  end(): void {
    this.announcer.work.end(this.method);
  }

  /** @returns a promise to await before the caller goes on; `null` if there is none */
  succeeded(result: unknown): Promise<unknown> | null {
    return this.#announce(this.#make(result, false));
  }

  /** As `succeeded`, for a method that cannot wait. */
  succeededAtOnce(result: unknown): void {
    this.#announceAtOnce(this.#make(result, false));
  }

  /** Publishes for decorators with `evenIfFails`: the commit may have happened. */
  failed(): Promise<unknown> | null {
    return this.#announce(this.#make(NO_ANSWER, true));
  }

  /** As `failed`, for a method that cannot wait. */
  failedAtOnce(): void {
    this.#announceAtOnce(this.#make(NO_ANSWER, true));
  }

  #announce(invalidations: readonly Invalidation[]): Promise<unknown> | null {
    return invalidations.length === 0
      ? null
      : this.announcer.announce(this.method.name, invalidations);
  }

  #announceAtOnce(invalidations: readonly Invalidation[]): void {
    if (invalidations.length === 0) return;
    this.announcer.announceAtOnce(this.method.name, invalidations);
  }

  #make(result: unknown, hasFailed: boolean): readonly Invalidation[] {
    const { announcements } = this.method;
    const [only] = announcements;
    if (only !== undefined && announcements.length === 1) {
      return this.#makeOne(only, 0, result, hasFailed);
    }
    return announcements.flatMap((each, index) =>
      this.#makeOne(each, index, result, hasFailed),
    );
  }

  #makeOne(
    announcement: Announcement,
    index: number,
    result: unknown,
    hasFailed: boolean,
  ): readonly Invalidation[] {
    if (hasFailed && !announcement.evenIfFails) return [];
    const failed = (cause: unknown): void =>
      this.announcer.failed(this.method.name, cause);
    try {
      const asked = this.#asked[index]!;
      return announcement.make(this.self, this.args, asked, result, failed);
    } catch (cause) {
      failed(cause);
      return [everything()];
    }
  }
}
