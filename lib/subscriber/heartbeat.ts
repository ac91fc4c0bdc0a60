import { InvalidationTimeoutError } from '../errors/index.js';
import { compareOffsets } from '../message/index.js';
import type { CatchUp, CatchUpContext } from './catch-up.js';
import { Deadlines } from './deadlines.js';

/** @internal */
export interface HeartbeatOptions {
  /** From one to the next, in milliseconds. */
  readonly heartbeatInterval: number;
  /** How long Redis may take to answer, in milliseconds. */
  readonly heartbeatTimeout: number;
}

/** @internal */
export interface HeartbeatListener {
  readonly subscribed: () => boolean;
  /** Messages of any kind that arrived so far. */
  readonly arrived: () => number;
  /** As of then, this instance had heard everything. */
  readonly onProof: (asOf: number) => void;
}

/**
 * Asks both connections, at intervals, whether they are alive, and the journal
 * whether anything was missed: a lost last message, a silent loss inside a
 * cluster, a socket that will never report its death.
 *
 * @internal
 */
export class Heartbeat {
  #timer: NodeJS.Timeout | null = null;
  #beating = false;
  /** Something was missing at the last one. */
  #missed = false;
  /** Since when Redis is not writable, or was last reconnected to. */
  #awaySince: number | null = null;
  readonly #deadlines: Deadlines;

  constructor(
    private readonly options: HeartbeatOptions,
    private readonly context: CatchUpContext,
    private readonly catchUp: CatchUp,
    private readonly listener: HeartbeatListener,
  ) {
    this.#deadlines = new Deadlines(options.heartbeatTimeout);
  }

  start(): void {
    this.#timer = setInterval(
      () => void this.#beat(),
      this.options.heartbeatInterval,
    );
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#deadlines.cancel();
  }

  /** Redis takes commands; what was asked before may never be answered. */
  writable(): void {
    this.#deadlines.cancel();
  }

  async #beat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    try {
      await this.#ask();
    } finally {
      this.#beating = false;
    }
  }

  async #ask(): Promise<void> {
    const { transport, publisher } = this.context;
    const asOf = performance.now();
    const acked = publisher.lastOffset;
    const before = this.catchUp.cursor.position;
    const [tail, alive] = await Promise.all([this.#tail(), this.#ping()]);
    if (this.#timer === null) return;
    if (alive && !transport.journaled) this.listener.onProof(asOf);
    if (alive && tail !== null && (await this.#hasHanded(tail))) {
      await this.#judge(tail, before, asOf, acked);
    }
    publisher.relay();
  }

  /**
   * Whether everything up to this end of the journal has been handed over: a
   * PING sent after that end was read is answered after what came before it.
   */
  async #hasHanded(tail: string): Promise<boolean> {
    return tail === this.catchUp.cursor.position || (await this.#ping());
  }

  async #judge(
    tail: string,
    before: string | null,
    asOf: number,
    acked: string | null,
  ): Promise<void> {
    if (this.#isCurrent(tail, before)) {
      this.#missed = false;
      this.listener.onProof(asOf);
      await this.catchUp.confirmOwn(acked);
      return;
    }
    // Twice in a row: it hears, but not this journal's messages.
    if (this.#missed) this.context.transport.reconnect('subscription');
    this.#missed = !this.#missed && !this.catchUp.cursor.catchingUp;
    this.catchUp.run();
  }

  /** `null` if there is none, or no answer. */
  async #tail(): Promise<string | null> {
    const { transport } = this.context;
    if (!transport.writable) {
      this.#hasten();
      return null;
    }
    this.#awaySince = null;
    if (!transport.journaled) return null;
    try {
      return await this.#deadlines.within(
        'a heartbeat',
        transport.journalTail(),
      );
    } catch (error) {
      if (isTimeout(error)) {
        this.context.errors.report(error);
        transport.reconnect('commands');
      }
      return null;
    }
  }

  /** A connection that is being opened, which takes several answers, may hang. */
  #hasten(): void {
    const now = performance.now();
    this.#awaySince ??= now;
    if (now - this.#awaySince < 2 * this.options.heartbeatTimeout) return;
    this.#awaySince = now;
    this.context.transport.reconnect('commands');
  }

  async #ping(): Promise<boolean> {
    if (!this.listener.subscribed()) return false;
    const { transport } = this.context;
    const arrived = this.listener.arrived();
    try {
      await this.#deadlines.within('a PING', transport.ping());
      return true;
    } catch (error) {
      // Whoever delivers is alive, and only slow.
      if (isTimeout(error) && this.listener.arrived() === arrived) {
        this.context.errors.report(error);
        transport.reconnect('subscription');
      }
      return false;
    }
  }

  /** Whether everything up to the journal's end has been delivered. */
  #isCurrent(tail: string, before: string | null): boolean {
    const { cursor } = this.catchUp;
    const { position } = cursor;
    if (position === null || cursor.catchingUp) return false;
    if (tail === position) return true;
    // Behind an end that did not move: the journal was lost, or rewound.
    return compareOffsets(tail, position) < 0 && position !== before;
  }
}

function isTimeout(error: unknown): error is InvalidationTimeoutError {
  return error instanceof InvalidationTimeoutError;
}
