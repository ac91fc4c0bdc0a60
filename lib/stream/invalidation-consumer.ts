import {
  patternOf,
  sizeOf,
  type Invalidation,
  type InvalidationMessage,
  type QueueLimit,
} from '../message/index.js';
import {
  GuardedHandler,
  type HandlerContext,
  type InvalidationCondition,
  type InvalidationHandler,
} from './guarded-handler.js';

/** A handler that takes longer, while messages wait, is reported. */
const STUCK_MS = 30_000;

/** @internal */
export interface ConsumerContext extends HandlerContext {
  /** Bounds of the messages that wait for a busy handler. */
  readonly queueLimit: QueueLimit;
  /** Entity types that the handler takes; `null` for all. */
  readonly types: readonly string[] | null;
}

/**
 * One handler with its queue. Messages are handled one after the other; a handler
 * that fails is reported and goes on with the next message; a handler that falls
 * too far behind gets a single widened message in place of its whole queue.
 *
 * @internal
 */
export class InvalidationConsumer {
  #waiting: InvalidationMessage[] = [];
  #waitingBytes = 0;
  #busy = false;
  /** When the running call began; `Infinity` once it was reported as stuck. */
  #since = Infinity;
  #closed = false;
  #idle: (() => void)[] = [];
  readonly #guarded: GuardedHandler;

  constructor(
    /** Class and method, for logs. */
    readonly name: string,
    handler: InvalidationHandler,
    private readonly wants: (message: Invalidation) => boolean,
    private readonly when: InvalidationCondition | undefined,
    private readonly context: ConsumerContext,
  ) {
    this.#guarded = new GuardedHandler(name, handler, context);
  }

  /**
   * Takes a message: handles it, or queues it while the handler is busy. The clock
   * is read once between two consumers, hence it is passed along.
   *
   * @param now `performance.now()` before the call
   * @returns `performance.now()` after the handler has returned
   */
  push(message: InvalidationMessage, now: number): number {
    if (this.#closed || !this.wants(message)) return now;
    if (this.when !== undefined && !this.#guarded.passes(this.when, message)) {
      return now;
    }
    if (this.#busy) {
      this.#enqueue(message);
      this.#checkStuck(now);
      return now;
    }
    const ended = this.#handle(message, now);
    // The handler may have published, or called `whenIdle()`, while it ran.
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

  /** Resolves once no message waits and the handler does not run. */
  whenIdle(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Stops calling the handler, also for the messages that wait. */
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
      `${this.name} fell behind by more than ${isFull ? `${messages} messages (option handlerQueueLimit)` : `${bytes} bytes of messages (option queueByteLimit)`}: it receives "everything" instead.`,
      `${this.name} overflow`,
    );
  }

  /** Reports a handler that hangs. It cannot be skipped: it may still be at work. */
  #checkStuck(now: number): void {
    if (now - this.#since < STUCK_MS) return;
    this.#since = Infinity;
    this.#guarded.failed(
      'it has not finished',
      `has been working on one invalidation message for ${STUCK_MS / 1_000} s`,
      'Until it settles, later messages wait for it, and the entries that it should evict are stale.',
    );
  }

  #handle(message: InvalidationMessage, started: number): number {
    this.#busy = true;
    this.#since = started;
    const pending = this.#guarded.call(message);
    const now = performance.now();
    if (pending !== null) {
      const settled = this.#guarded.settled(pending, message, started);
      void settled.then(() => this.#next());
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
}
