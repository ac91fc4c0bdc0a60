import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import { compareOffsets } from '../message/index.js';
import type { CatchUp, CatchUpContext } from './catch-up.js';
import { Deadlines } from './deadlines.js';

/** Heartbeats in a row that find something missing, before the link is blamed. */
const DEAF = 3;

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
  /** Heartbeats in a row that found something missing, and nothing heard. */
  #deaf = 0;
  /** Messages that had arrived at the last one. */
  #heard = 0;
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
    ).unref();
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
    const [tail, alive] = await Promise.all([this.#tail(), this.#ping()]);
    if (this.#timer === null) return;
    if (alive && !transport.journaled) this.listener.onProof(asOf);
    if (tail !== null) this.catchUp.horizon.sawTail(tail);
    if (alive && transport.journaled && tail !== null) {
      await this.#judge(tail, asOf, acked);
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
    asOf: number,
    acked: string | null,
  ): Promise<void> {
    if (!(await this.#hasHanded(tail))) return;
    if (await this.#isCurrent(tail)) {
      this.#deaf = 0;
      this.listener.onProof(asOf);
      await this.catchUp.confirmOwn(acked);
      return;
    }
    this.#noteDeafness();
    this.catchUp.run();
  }

  /** It answers, but hears nothing: it leads to a server that was left behind. */
  #noteDeafness(): void {
    const heard = this.listener.arrived();
    this.#deaf = heard === this.#heard ? this.#deaf + 1 : 0;
    this.#heard = heard;
    if (this.#deaf < DEAF) return;
    this.#deaf = 0;
    this.context.transport.reconnect('subscription');
  }

  /** `null` if there is none, or no answer. */
  async #tail(): Promise<string | null> {
    const { transport } = this.context;
    if (!transport.writable) {
      this.#hasten();
      return null;
    }
    this.#awaySince = null;
    try {
      return await this.#deadlines.within(
        'a heartbeat',
        transport.journalTail(),
      );
    } catch (error) {
      if (isTimeout(error)) {
        this.context.errors.report(error);
        transport.reconnect('commands');
      } else if (transport.writable) {
        this.context.errors.report(
          new InvalidationRedisError(
            `The end of the journal could not be read: ${describeCause(error as Error)}.`,
            'Until it can, nothing proves that this instance has heard everything.',
            error,
          ),
        );
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
      // A connection that delivers is alive, and only slow.
      if (isTimeout(error) && this.listener.arrived() === arrived) {
        this.context.errors.report(error);
        transport.reconnect('subscription');
      }
      return false;
    }
  }

  /**
   * Whether everything up to the journal's end has been delivered. A position
   * beyond that end was heard since the end was read, unless somebody forged it
   * or the journal was rewound: then the journal does not have it.
   */
  async #isCurrent(tail: string): Promise<boolean> {
    const { position, catchingUp } = this.catchUp.cursor;
    if (position === null || catchingUp) return false;
    if (tail === position) return true;
    return (
      compareOffsets(tail, position) < 0 && (await this.#hasEntry(position))
    );
  }

  async #hasEntry(offset: string): Promise<boolean> {
    try {
      const [entry] = await this.#deadlines.within(
        'a heartbeat',
        this.context.transport.readJournal(offset, 1),
      );
      return entry?.offset === offset;
    } catch {
      // Catching up reads the journal again, and reports what is wrong with it.
      return false;
    }
  }
}

function isTimeout(error: unknown): error is InvalidationTimeoutError {
  return error instanceof InvalidationTimeoutError;
}
