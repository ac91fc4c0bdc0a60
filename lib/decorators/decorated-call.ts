import { everything, type Invalidation } from '../message/index.js';
import type { MethodInvalidation, Asked } from './method-invalidation.js';
import { NO_ANSWER } from './answers.js';
import { currentScope, type PublishMode } from '../publisher/index.js';
import { positionOf } from './call-position.js';
import type { MethodPublisher } from './method-publisher.js';

/** A method under one or more invalidating decorators. @internal */
export interface DecoratedMethod {
  /** Class and method. */
  readonly name: string;
  /** In the order they are read. */
  readonly invalidations: readonly MethodInvalidation[];
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
    private readonly publisher: MethodPublisher,
    private readonly method: DecoratedMethod,
    private readonly self: unknown,
    private readonly args: readonly unknown[],
  ) {
    this.#asked = method.invalidations.map((each) => each.ask(self, args));
  }

  /** Marks work that goes on after the method has returned: a shutdown waits for it. */
  begin(): void {
    this.publisher.work.begin(this.method);
  }

  /** To be called once for each `begin()`. */
  end(): void {
    this.publisher.work.end(this.method);
  }

  /**
   * @param mode.wait whether the method can wait for Redis
   * @returns the promise to wait for before the caller goes on; `null` for none
   */
  succeeded(result: unknown, mode: PublishMode): Promise<unknown> | null {
    const { invalidations } = this.method;
    // The commit of a scope comes later.
    return invalidations.every(({ at }) => at === undefined) ||
      currentScope() !== null
      ? this.#publish(this.#make(result, false), mode)
      : Promise.all(
          invalidations.map(async (each, index) =>
            this.#publishAt(each, index, result, mode),
          ),
        );
  }

  /** The commit may have happened: decorators with `evenIfFails` publish. */
  failed(mode: PublishMode): Promise<unknown> | null {
    return this.#publish(this.#make(NO_ANSWER, true), mode);
  }

  #publishAt(
    each: MethodInvalidation,
    index: number,
    result: unknown,
    mode: PublishMode,
  ): Promise<unknown> | null {
    const made = this.#makeOne(each, index, result, false);
    if (made.length === 0) return null;
    const { name } = this.method;
    const call = { self: this.self, args: this.args, result };
    // A call that nobody waits for may have been broken off before its commit.
    const at =
      each.at === undefined || !mode.wait
        ? null
        : positionOf(each.at, call, (cause) =>
            this.publisher.failed(name, cause),
          );
    return at instanceof Promise
      ? at.then((position) =>
          this.publisher.publish(name, made, mode, position),
        )
      : this.publisher.publish(name, made, mode, at);
  }

  #publish(
    invalidations: readonly Invalidation[],
    mode: PublishMode,
  ): Promise<unknown> | null {
    return invalidations.length === 0
      ? null
      : this.publisher.publish(this.method.name, invalidations, mode);
  }

  #make(result: unknown, hasFailed: boolean): readonly Invalidation[] {
    const { invalidations } = this.method;
    const [only] = invalidations;
    if (only !== undefined && invalidations.length === 1) {
      return this.#makeOne(only, 0, result, hasFailed);
    }
    return invalidations.flatMap((each, index) =>
      this.#makeOne(each, index, result, hasFailed),
    );
  }

  #makeOne(
    invalidation: MethodInvalidation,
    index: number,
    result: unknown,
    hasFailed: boolean,
  ): readonly Invalidation[] {
    if (hasFailed && !invalidation.evenIfFails) return [];
    const failed = (cause: unknown): void =>
      this.publisher.failed(this.method.name, cause);
    try {
      const asked = this.#asked[index]!;
      return invalidation.make(this.self, this.args, asked, result, failed);
    } catch (cause) {
      failed(cause);
      return [everything()];
    }
  }
}
