import { AsyncLocalStorage } from 'node:async_hooks';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { isObservable } from 'rxjs';
import type { CommitPosition, InvalidationMessage } from '../message/index.js';
import { isIteration, isPromiseLike, streamOf } from '../stream/index.js';
import { askPosition, type AskPosition } from './ask-position.js';
import {
  HeldInvalidations,
  type DeferringPublisher,
} from './held-invalidations.js';
import { processStore } from './process-store.js';
import { subscribedWork } from './subscribed-work.js';
import {
  currentScope,
  openOf,
  openScopes,
  outsideScopes,
} from './scope-context.js';

/** Options of a scope. @publicApi */
export interface ScopeOptions {
  /**
   * Asked once the promise of the work has resolved, if there is something to publish, for
   * caches that load from a replica. Invalidations wait up to a second for the answer, and
   * leave without a position if there is none. A scope within another one does not ask:
   * its commit is that of the outer one.
   */
  readonly at?: AskPosition | undefined;
}

/**
 * Holds invalidations back until a unit of work is committed. Whatever is
 * published in the course of `work`, by hand or by a decorator, by whichever
 * publisher, leaves once `work` has succeeded: merged, each once, on this
 * instance as on all others. If `work` throws it vanishes. What `work` returns or
 * throws passes through unchanged.
 *
 * Put it around the call that commits, and around nothing else: what throws is
 * taken for a rollback.
 *
 * Beyond `outboxLimit`, what is held collapses to entity types, then to
 * everything. Invalidations published after the end of the scope, by work that was
 * not awaited, leave at once. `publishStored()` is not held back, for it is called
 * after a commit. Near caches are bypassed in the course of `work`, for what it
 * reads may be rolled back; do not fill a cache of your own with it either.
 *
 * @example
 * ```ts
 * await InvalidationScope.run(() =>
 *   db.transaction(async (tx) => {
 *     await tx.update(users).set({ name }).where(eq(users.id, id));
 *     await publisher.invalidate('User', id); // leaves after the commit
 *   }),
 * );
 * ```
 * @publicApi
 */
export class InvalidationScope {
  readonly #held = new HeldInvalidations();
  #ended = false;
  #givenUp = false;
  /** When it first held something, by `performance.now()`. @internal */
  since = Infinity;
  /** Whether its work goes on; also after it has given up. @internal */
  isAtWork = true;

  private constructor(
    /** @internal */
    readonly parent: InvalidationScope | null,
    /** Shared by the subscriptions of one Observable. */
    private readonly end: { kept: boolean },
    private readonly ask: AskPosition | undefined,
  ) {}

  /**
   * Runs a transaction or, within another scope, a savepoint of the outer
   * transaction: what it held goes into the outer scope when it succeeds.
   *
   * @param work may be synchronous, or return a promise or an Observable, which
   * is the work as long as it has a subscriber, and must be lazy (`defer`): a query
   * that has begun before it is returned is not part of it. A subscriber that
   * leaves before the COMMIT has the invalidations published before it. A stream
   * of Node's is the work until it has finished; an async iterable is refused, so
   * run the code that reads it. The work may call `keep` once a rollback is not
   * certain any more, as when the COMMIT itself fails: an error that it throws from
   * then on does not drop the invalidations.
   */
  static run<T>(work: (keep: () => void) => T, options?: ScopeOptions): T {
    return InvalidationScope.#run(currentScope(), work, options?.at);
  }

  /**
   * Runs a transaction of its own, even within another: what it held leaves
   * after its own commit, and outlives a rollback of the outer one.
   */
  static runNew<T>(work: (keep: () => void) => T, options?: ScopeOptions): T {
    return InvalidationScope.#run(null, work, options?.at);
  }

  static #run<T>(
    parent: InvalidationScope | null,
    work: (keep: () => void) => T,
    ask: AskPosition | undefined,
    end = { kept: false },
  ): T {
    if (work.constructor.name.endsWith('GeneratorFunction')) {
      throw new TypeError(
        'A generator returns before its body has run: run the code that consumes it.',
      );
    }
    const scope = new InvalidationScope(parent, end, ask);
    const storage = (processStore().scopes ??= new AsyncLocalStorage());
    // The scope also covers a query that a lazy result makes when it is awaited.
    return storage.run(scope, () => {
      try {
        const result = work(() => (end.kept = true));
        if (isPromiseLike(result)) return scope.#settle(result) as T;
        const stream = streamOf(result);
        if (stream !== null) {
          openScopes().begin();
          void scope.#untilFinished(stream);
          return result;
        }
        refuseIteration(result);
        scope.#endAtOnce();
        return isObservable(result)
          ? (subscribedWork(result, (subscribed) =>
              // A subscriber may leave before the COMMIT.
              InvalidationScope.#run(parent, subscribed, undefined, end),
            ) as T)
          : result;
      } catch (error) {
        if (!end.kept) scope.#held.clear();
        scope.#endAtOnce();
        throw error;
      }
    });
  }

  /** @internal */
  get ended(): boolean {
    return this.#ended;
  }

  /** @internal */
  hold(
    publisher: DeferringPublisher,
    messages: readonly InvalidationMessage[],
  ): void {
    this.#held.add(publisher, messages);
    if (this.since !== Infinity) return;
    this.since = performance.now();
    openScopes().holds(this);
  }

  /** @internal */
  publishEarly(): void {
    for (const [publisher, messages] of this.#held.copies()) {
      void outsideScopes(() =>
        publisher.publishHeld(messages, { wait: false }),
      );
    }
  }

  /** @internal */
  giveUp(): void {
    this.#givenUp = true;
    outsideScopes(() => this.#endAtOnce());
    this.isAtWork = true;
  }

  async #settle(result: PromiseLike<unknown>): Promise<unknown> {
    openScopes().begin();
    let value: unknown;
    try {
      value = await result;
    } catch (error) {
      await this.#finish(this.end.kept);
      throw error;
    }
    const stream = streamOf(value);
    if (stream === null) await this.#finish(true, this.ask);
    else void this.#untilFinished(stream);
    return value;
  }

  /** The stream's reader gets its error; a reader that breaks it off may have committed. */
  async #untilFinished(stream: Readable): Promise<void> {
    let kept = true;
    try {
      await finished(stream);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      kept = this.end.kept || code === 'ERR_STREAM_PREMATURE_CLOSE';
    }
    await this.#finish(kept);
  }

  async #finish(kept: boolean, ask?: AskPosition): Promise<void> {
    if (kept) this.end.kept = true;
    else this.#held.clear();
    let asking: Promise<CommitPosition | null> | null = null;
    // The scope has ended before the question: what comes later is not held.
    const published = this.#end(async (publisher, messages) => {
      // The held messages were published before the commit and are not known any more.
      if (this.#givenUp) return publisher.publishEverything();
      if (ask === undefined) {
        return publisher.publishHeld(messages, { wait: true });
      }
      asking ??= askPosition(ask);
      return publisher.publishHeld(messages, { wait: true }, await asking);
    });
    await Promise.allSettled(published);
    openScopes().end();
  }

  #endAtOnce(): void {
    void this.#end((publisher, messages) =>
      publisher.publishHeld(messages, { wait: false }),
    );
  }

  /** Hands on what is held: to the outer scope, or to everybody. */
  #end<R>(
    publish: (
      publisher: DeferringPublisher,
      messages: readonly InvalidationMessage[],
    ) => R,
  ): R[] {
    this.#ended = true;
    this.isAtWork = false;
    openScopes().released(this);
    const outer = openOf(this.parent);
    return this.#held.takeAll().flatMap(([publisher, messages]) => {
      if (outer === null) return [publish(publisher, messages)];
      outer.hold(publisher, messages);
      return [];
    });
  }
}

function refuseIteration(result: unknown): void {
  if (!isIteration(result)) return;
  throw new TypeError(
    'An InvalidationScope cannot cover a value that is iterated later: it would end before the work does. Run the code that consumes it.',
  );
}
