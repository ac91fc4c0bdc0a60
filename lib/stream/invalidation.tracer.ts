import type { InvalidationMessage, TraceContext } from '../message/index.js';

/** A publish that is being traced. @internal */
export interface PublishSpan {
  /** What travels with the message, so that its receivers can go on with it. */
  readonly trace: TraceContext | null;
  /** @param status as the receipt says it */
  end(status: string): void;
}

/** What a tracing library does at the three places that it may see. @internal */
export interface InvalidationTracer {
  publishing(message: InvalidationMessage): PublishSpan;
  /** Calls `deliver`, at once. */
  delivering(message: InvalidationMessage, deliver: () => void): void;
  /**
   * Calls `handle`, at once; what that returns may be a promise.
   *
   * @param handler class and method
   */
  handling(
    message: InvalidationMessage,
    handler: string,
    handle: () => unknown,
  ): void;
}

/**
 * What an application traces with, if anything. A tracer that fails costs the
 * trace, and not the message.
 *
 * @internal
 */
export class Tracing {
  #tracer: InvalidationTracer | null = null;

  get active(): boolean {
    return this.#tracer !== null;
  }

  /** @param tracer `null` for none */
  use(tracer: InvalidationTracer | null): void {
    this.#tracer = tracer;
  }

  publishing(message: InvalidationMessage): PublishSpan | null {
    const tracer = this.#tracer;
    if (tracer === null) return null;
    return attempt(() => guarded(tracer.publishing(message))) ?? null;
  }

  /** @param deliver must not throw */
  delivering(message: InvalidationMessage, deliver: () => void): void {
    let delivered = false;
    attempt(() =>
      this.#tracer?.delivering(message, () => {
        delivered = true;
        deliver();
      }),
    );
    if (!delivered) deliver();
  }

  /** @returns what `handle` returns; throws what it throws */
  handling<T>(
    message: InvalidationMessage,
    handler: string,
    handle: () => T,
  ): T {
    let outcome: (() => T) | null = null;
    attempt(() =>
      this.#tracer?.handling(message, handler, () => {
        try {
          const result = handle();
          outcome = () => result;
          return result;
        } catch (error) {
          outcome = () => {
            throw error;
          };
          throw error;
        }
      }),
    );
    return ((outcome as (() => T) | null) ?? handle)();
  }
}

/** It is ended amid the answers of Redis, which nothing may break off. */
function guarded(span: PublishSpan): PublishSpan {
  return {
    trace: span.trace,
    end: (status) => attempt(() => span.end(status)),
  };
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
