import { CallbackFailedError } from '../errors/index.js';
import type { InvalidationMessage } from '../message/index.js';
import { atOnce } from './at-once.js';
import type { ErrorReporter } from './error-reporter.js';
import type { InvalidationMeter } from './invalidation-meter.js';
import type { Tracing } from './invalidation-tracer.js';
import { isPromiseLike } from './is-promise-like.js';

/** Handles a message. A returned promise delays the next message. @publicApi */
export type InvalidationHandler = (message: InvalidationMessage) => unknown;

/** Whether a handler takes a message. It must answer at once. @publicApi */
export type InvalidationCondition = (message: InvalidationMessage) => boolean;

/** @internal */
export interface HandlerContext {
  readonly meter: InvalidationMeter;
  readonly errors: ErrorReporter;
  /** `null` for caches, whose work is not traced. */
  readonly tracing: Tracing | null;
}

/**
 * Calls functions of the application's so that their errors are reported and
 * counted, and never reach the delivery.
 *
 * @internal
 */
export class GuardedHandler {
  constructor(
    /** Class and method, for logs. */
    private readonly name: string,
    private readonly handler: InvalidationHandler,
    private readonly context: HandlerContext,
  ) {}

  /** Whether a condition holds. A widened message always passes: it may affect more than it names. */
  passes(when: InvalidationCondition, message: InvalidationMessage): boolean {
    if (message.widened !== null) return true;
    try {
      return atOnce(when(message));
    } catch (error) {
      this.failed(
        error,
        'has a condition that failed on an invalidation message',
        'It counts as true; correct the function given as `when`.',
      );
      return true;
    }
  }

  /**
   * Calls the handler. Never throws, not even for a hostile `then`.
   *
   * @returns the promise to wait for, if any
   */
  call(message: InvalidationMessage): PromiseLike<unknown> | null {
    try {
      const { tracing } = this.context;
      const result =
        tracing?.active === true
          ? tracing.handling(message, this.name, () => this.handler(message))
          : this.handler(message);
      return isPromiseLike(result) ? result : null;
    } catch (error) {
      this.failed(error);
      return null;
    }
  }

  /** Resolves, and never rejects, once the handler is done. */
  async settled(
    result: PromiseLike<unknown>,
    message: InvalidationMessage,
    started: number,
  ): Promise<void> {
    try {
      await result;
    } catch (error) {
      this.failed(error);
    }
    const latency = performance.now() - started;
    this.context.meter.handled(latency, this.name, message);
  }

  failed(
    cause: unknown,
    what = 'failed on an invalidation message',
    advice = 'It continues with the next one.',
  ): void {
    this.context.meter.handlerFailed();
    this.context.errors.report(
      new CallbackFailedError(this.name, what, advice, cause),
      this.name,
    );
  }
}
