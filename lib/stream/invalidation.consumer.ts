import { HandlerFailedError } from '../errors/index.js';
import {
  patternOf,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';
import type { ErrorReporter } from './error.reporter.js';
import type { InvalidationMeter } from './invalidation.meter.js';
import { isPromiseLike } from './is-promise-like.js';

/** What to do with a message. A returned promise delays the next one. @publicApi */
export type InvalidationHandler = (message: InvalidationMessage) => unknown;

/** @internal */
export interface ConsumerContext {
  readonly meter: InvalidationMeter;
  readonly errors: ErrorReporter;
  /** How many messages may wait for a handler that is busy. */
  readonly queueLimit: number;
}

/**
 * One handler and what waits for it. Messages are handled one after the other;
 * a handler that fails is reported and goes on with the next; one that falls
 * too far behind gets a single widened message in place of all that waited.
 *
 * @internal
 */
export class InvalidationConsumer {
  #waiting: InvalidationMessage[] = [];
  #busy = false;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(
    /** Class and method, for logs. */
    private readonly name: string,
    private readonly handler: InvalidationHandler,
    private readonly wants: ((message: Invalidation) => boolean) | null,
    private readonly context: ConsumerContext,
  ) {}

  push(message: InvalidationMessage): void {
    if (this.#closed) return;
    if (this.wants !== null && !this.wants(message)) return;
    if (this.#busy) this.#enqueue(message);
    else this.#handle(message);
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Resolves once nothing waits and nothing runs. */
  whenIdle(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Calls the handler no more, not even with what waits for it. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  #enqueue(message: InvalidationMessage): void {
    const [first] = this.#waiting;
    // Whatever is said while "everything" waits is covered by it.
    if (first?.widened === 'handler-overflow') return;
    if (this.#waiting.length < this.context.queueLimit) {
      this.#waiting.push(message);
      return;
    }
    this.#waiting = [
      { ...message, ...patternOf('*'), widened: 'handler-overflow' },
    ];
    this.context.meter.widened();
  }

  #handle(message: InvalidationMessage): void {
    const started = performance.now();
    const running = this.#call(message, started);
    if (running === null) return;
    this.#busy = true;
    void running.then(() => this.#next());
  }

  #next(): void {
    for (
      let message = this.#waiting.shift();
      message !== undefined;
      message = this.#waiting.shift()
    ) {
      const running = this.#call(message, performance.now());
      if (running !== null) {
        void running.then(() => this.#next());
        return;
      }
    }
    this.#busy = false;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  /** The promise of an asynchronous handler, which never rejects; else `null`. */
  #call(message: InvalidationMessage, started: number): Promise<void> | null {
    let result: unknown;
    try {
      result = this.handler(message);
    } catch (error) {
      this.#failed(error);
    }
    if (isPromiseLike(result)) {
      return Promise.resolve(result)
        .catch((error: unknown) => this.#failed(error))
        .then(() => this.context.meter.handled(performance.now() - started));
    }
    this.context.meter.handled(performance.now() - started);
    return null;
  }

  #failed(cause: unknown): void {
    this.context.meter.handlerFailed();
    this.context.errors.report(
      new HandlerFailedError(
        this.name,
        'failed on an invalidation message',
        'It goes on with the next one.',
        cause,
      ),
      this.name,
    );
  }
}
