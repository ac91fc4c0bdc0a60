import { everything, type Invalidation } from '../message/index.js';
import type { Announcement, Asked } from './announcement.js';
import { NO_ANSWER } from './answers.js';
import type { PublishMode } from '../publisher/index.js';
import type { InvalidationAnnouncer } from './invalidation-announcer.js';

/** A method under one or more invalidating decorators. @internal */
export interface DecoratedMethod {
  /** Class and method. */
  readonly name: string;
  /** In the order they are read. */
  readonly announcements: readonly Announcement[];
  /** Entity types and patterns, for the log. */
  readonly subjects: readonly string[];
}

/**
 * One call of a decorated method, from before its body until it has ended. Never
 * throws: the data has changed, and the caller has its result.
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

  /** It goes on when the method has returned: a shutdown waits for it. */
  begin(): void {
    this.announcer.work.begin(this.method);
  }

  /** To be called once for each `begin()`. */
  end(): void {
    this.announcer.work.end(this.method);
  }

  /**
   * @param mode.wait whether the method can wait for Redis
   * @returns the promise to wait for before the caller goes on; `null` for none
   */
  succeeded(result: unknown, mode: PublishMode): Promise<unknown> | null {
    return this.#publish(this.#make(result, false), mode);
  }

  /** The commit may have happened: decorators with `evenIfFails` publish. */
  failed(mode: PublishMode): Promise<unknown> | null {
    return this.#publish(this.#make(NO_ANSWER, true), mode);
  }

  #publish(
    invalidations: readonly Invalidation[],
    mode: PublishMode,
  ): Promise<unknown> | null {
    return invalidations.length === 0
      ? null
      : this.announcer.publish(this.method.name, invalidations, mode);
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
