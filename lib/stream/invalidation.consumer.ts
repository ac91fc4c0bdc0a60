import { CallbackFailedError } from '../errors/index.js';
import {
  patternOf,
  sizeOf,
  type Invalidation,
  type InvalidationMessage,
  type QueueLimit,
} from '../message/index.js';
import { atOnce } from './at-once.js';
import type { ErrorReporter } from './error.reporter.js';
import type { InvalidationMeter } from './invalidation.meter.js';
import type { Tracing } from './invalidation.tracer.js';
import { isPromiseLike } from './is-promise-like.js';

/** A handler that takes longer, while others wait, is reported. */
const STUCK_MS = 30_000;

/** Handles a message. A returned promise delays the next message. @publicApi */
export type InvalidationHandler = (message: InvalidationMessage) => unknown;

/** Whether a message matters. It must answer at once. @publicApi */
export type InvalidationCondition = (message: InvalidationMessage) => boolean;

/** @internal */
export interface ConsumerContext {
  readonly meter: InvalidationMeter;
  readonly errors: ErrorReporter;
  /** `null` for what is no handler of the application's. */
  readonly tracing: Tracing | null;
  /** Bounds of the messages that wait for a busy handler. */
  readonly queueLimit: QueueLimit;
  /** Entity types that it is about; `null` for all. */
  readonly types: readonly string[] | null;
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
  #waitingBytes = 0;
  #busy = false;
  /** When what runs began; `Infinity` once that was reported. */
  #since = Infinity;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(
    /** Class and method, for logs. */
    readonly name: string,
    private readonly handler: InvalidationHandler,
    private readonly wants: (message: Invalidation) => boolean,
    private readonly when: InvalidationCondition | undefined,
    private readonly context: ConsumerContext,
  ) {}

  /**
   * @param now what `performance.now()` says
   * @returns what it says when the handler has returned
   */
  push(message: InvalidationMessage, now: number): number {
    if (this.#closed || !this.wants(message)) return now;
    if (this.when !== undefined && !this.#holds(this.when, message)) return now;
    if (this.#busy) {
      this.#enqueue(message);
      this.#checkStuck(now);
      return now;
    }
    const ended = this.#handle(message, now);
    // By now something may wait for it, or for its being idle, from inside it.
    const awaited = this.#waiting.length > 0 || this.#idle.length > 0;
    if (awaited && !this.#busy) this.#next();
    return ended;
  }

  get types(): readonly string[] | null {
    return this.context.types;
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
    // A waiting "everything" covers whatever comes after it.
    if (first?.widened === 'handler-overflow') return;
    const { messages, bytes } = this.context.queueLimit;
    const size = sizeOf(message);
    const isFull = this.#waiting.length >= messages;
    if (!isFull && this.#waitingBytes + size <= bytes) {
      this.#waiting.push(message);
      this.#waitingBytes += size;
      return;
    }
    this.#waiting = [
      { ...message, ...patternOf('*'), widened: 'handler-overflow' },
    ];
    this.#waitingBytes = 0;
    this.context.meter.widened('handler-overflow');
    this.context.errors.log(
      'warn',
      `${this.name} fell behind by more than ${isFull ? `${messages} messages (option handlerQueueLimit)` : `${bytes} bytes of messages (option queueByteLimit)`}: it gets "everything" in their place.`,
      `${this.name} overflow`,
    );
  }

  /** It cannot be helped, since it may still be at work; but it must be known. */
  #checkStuck(now: number): void {
    if (now - this.#since < STUCK_MS) return;
    this.#since = Infinity;
    this.#failed(
      'it has not finished',
      `has been at work on one invalidation message for ${STUCK_MS / 1_000} s`,
      'Until it ends, what comes meanwhile waits for it, and what it keeps is stale.',
    );
  }

  #handle(message: InvalidationMessage, started: number): number {
    this.#busy = true;
    this.#since = started;
    const pending = this.#call(message);
    const now = performance.now();
    if (pending !== null) {
      void this.#settled(pending, message, started).then(() => this.#next());
    } else {
      this.context.meter.handled(now - started, this.name, message);
      this.#busy = false;
    }
    return now;
  }

  #next(): void {
    this.#busy = false;
    let now = performance.now();
    while (!this.#busy) {
      const message = this.#waiting.shift();
      if (message === undefined) return this.#becameIdle();
      this.#waitingBytes =
        this.#waiting.length === 0 ? 0 : this.#waitingBytes - sizeOf(message);
      now = this.#handle(message, now);
    }
  }

  #becameIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  /** Widened ones are for everybody: a condition may know less than is at stake. */
  #holds(when: InvalidationCondition, message: InvalidationMessage): boolean {
    if (message.widened !== null) return true;
    try {
      return atOnce(when(message));
    } catch (error) {
      this.#failed(
        error,
        'has a condition that failed on an invalidation message',
        'It counts as true; mend what was given as when.',
      );
      return true;
    }
  }

  /** Calls the handler; returns the promise to wait for, if any. Never throws, not even for a hostile `then`. */
  #call(message: InvalidationMessage): PromiseLike<unknown> | null {
    try {
      const { tracing } = this.context;
      const result =
        tracing?.active === true
          ? tracing.handling(message, this.name, () => this.handler(message))
          : this.handler(message);
      return isPromiseLike(result) ? result : null;
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  /** Resolves, and never rejects, once the handler is done. */
  async #settled(
    result: PromiseLike<unknown>,
    message: InvalidationMessage,
    started: number,
  ): Promise<void> {
    try {
      await result;
    } catch (error) {
      this.#failed(error);
    }
    const latency = performance.now() - started;
    this.context.meter.handled(latency, this.name, message);
  }

  #failed(
    cause: unknown,
    what = 'failed on an invalidation message',
    advice = 'It goes on with the next one.',
  ): void {
    this.context.meter.handlerFailed();
    this.context.errors.report(
      new CallbackFailedError(this.name, what, advice, cause),
      this.name,
    );
  }
}
