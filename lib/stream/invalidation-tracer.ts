import type { InvalidationMessage, TraceContext } from '../message/index.js';
import { isPromiseLike } from './is-promise-like.js';

/** A publish that is being traced. @internal */
export interface PublishSpan {
  /** Trace fields that travel with the message, so that its receivers can continue the trace. */
  readonly trace: TraceContext | null;
  /** @param status of the receipt */
  end(status: string): void;
}

/** The port of a tracing library: publish, delivery, handler. @internal */
export interface InvalidationTracer {
  /** @returns `null` for a message that is not traced */
  publishing(message: InvalidationMessage): PublishSpan | null;
  /** The id of the caller's trace, or `null` without one; absent if the tracer cannot tell. */
  traceId?(): string | null;
  /** Calls `deliver`, at once. */
  delivering(message: InvalidationMessage, deliver: () => void): void;
  /**
   * Calls `handle`, at once; what that returns may be a promise, and is never a
   * mere thenable: a query builder runs its query each time that it is awaited.
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
 * The application's tracer, if it has one. A tracer that fails costs the trace, and
 * not the message.
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
    return attempt(() => guarded(this.#tracer?.publishing(message))) ?? null;
  }

  /**
   * Equal for callers of one trace, and without a tracer. A caller without a trace
   * begins one of its own, and may have baggage of its own.
   */
  current(): unknown {
    if (this.#tracer === null) return null;
    return attempt(() => this.#tracer?.traceId?.()) ?? Symbol('unknown');
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

  /** @returns what `handle` returns, or a promise of it; throws what it throws */
  handling(
    message: InvalidationMessage,
    handler: string,
    handle: () => unknown,
  ): unknown {
    let outcome: (() => unknown) | null = null;
    attempt(() =>
      this.#tracer?.handling(message, handler, () => {
        try {
          const result = awaitedOnce(handle());
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
    return ((outcome as (() => unknown) | null) ?? handle)();
  }
}

/** Keeps a failing tracer from costing the caller its receipt. */
function guarded(span: PublishSpan | null | undefined): PublishSpan | null {
  if (!span) return null;
  const { trace } = span;
  return { trace, end: (status) => attempt(() => span.end(status)) };
}

function awaitedOnce(result: unknown): unknown {
  return isPromiseLike(result)
    ? new Promise((resolve, reject) => void result.then(resolve, reject))
    : result;
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
