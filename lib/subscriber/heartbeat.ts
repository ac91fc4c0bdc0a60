import { describeCause, InvalidationRedisError } from '../errors/index.js';
import { compareOffsets } from '../message/index.js';
import type { ErrorReporter, PublishProgress } from '../stream/index.js';
import type { InvalidationTransport } from '../transport/index.js';
import { JournalReader } from './journal-reader.js';
import type { MessageReceiver } from './message-receiver.js';
import { isTimeout } from './redis-answers.js';

/** Heartbeats in a row that find something missing, before the connection is blamed. */
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
  /** Whether the subscription stands. */
  isSubscribed(): boolean;
  /**
   * This instance had received everything as of then, by `performance.now()`.
   *
   * @param acked the last offset that Redis had acknowledged; `null` without a
   * journal, or where nothing was published
   */
  onProof(asOf: number, acked: string | null): Promise<void>;
  /** The journal has messages that this instance has not received. */
  onMissing(): void;
  /** One heartbeat is over, whatever it found. */
  onBeat(): void;
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
  /** Heartbeats in a row that found something missing, while nothing arrived. */
  #deaf = 0;
  /** Messages that had arrived at the last of these. */
  #arrived = 0;
  /** When Redis ceased to be writable, or was last reconnected to. */
  #awaySince: number | null = null;
  readonly #journal: JournalReader;

  constructor(
    private readonly options: HeartbeatOptions,
    private readonly transport: InvalidationTransport,
    private readonly receiver: MessageReceiver,
    private readonly progress: PublishProgress,
    private readonly errors: ErrorReporter,
    private readonly listener: HeartbeatListener,
  ) {
    this.#journal = new JournalReader(
      transport,
      options.heartbeatTimeout,
      'a heartbeat',
    );
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
    this.#journal.cancel();
  }

  /** Redis takes commands; earlier ones may never be answered. */
  writable(): void {
    this.#journal.cancel();
  }

  async #beat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    try {
      await this.#check();
    } finally {
      this.#beating = false;
    }
  }

  async #check(): Promise<void> {
    const { journaled } = this.transport;
    const asOf = performance.now();
    const acked = this.progress.lastOffset;
    const [tail, alive] = await Promise.all([this.#tail(), this.#ping()]);
    if (this.#timer === null) return;
    if (tail !== null) this.receiver.horizon.sawTail(tail);
    if (alive && !journaled) await this.listener.onProof(asOf, null);
    if (alive && journaled && tail !== null) {
      await this.#judge(tail, asOf, acked);
    }
    this.listener.onBeat();
  }

  async #judge(
    tail: string,
    asOf: number,
    acked: string | null,
  ): Promise<void> {
    if (!(await this.#hasHanded(tail))) return;
    if (await this.#isCurrent(tail)) {
      this.#deaf = 0;
      return this.listener.onProof(asOf, acked);
    }
    this.#countDeafness();
    this.listener.onMissing();
  }

  /**
   * Whether everything up to this end of the journal has been handed over: a
   * PING sent after that end was read is answered after what came before it.
   */
  async #hasHanded(tail: string): Promise<boolean> {
    return tail === this.receiver.position || (await this.#ping());
  }

  /** A connection that answers and delivers nothing leads to a server that was left behind. */
  #countDeafness(): void {
    const { arrived } = this.receiver;
    this.#deaf = arrived === this.#arrived ? this.#deaf + 1 : 0;
    this.#arrived = arrived;
    if (this.#deaf < DEAF) return;
    this.#deaf = 0;
    this.transport.reconnect('subscription');
  }

  /** @returns `null` if there is no journal, or no answer */
  async #tail(): Promise<string | null> {
    if (!this.transport.writable) {
      this.#hasten();
      return null;
    }
    this.#awaySince = null;
    try {
      return await this.#journal.tail();
    } catch (error) {
      if (isTimeout(error)) {
        this.errors.report(error);
        this.transport.reconnect('commands');
      } else if (this.transport.writable) {
        this.errors.report(
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
    this.transport.reconnect('commands');
  }

  async #ping(): Promise<boolean> {
    if (!this.listener.isSubscribed()) return false;
    const { arrived } = this.receiver;
    try {
      await this.#journal.ping();
      return true;
    } catch (error) {
      // A connection that delivers is alive, and only slow.
      if (isTimeout(error) && this.receiver.arrived === arrived) {
        this.errors.report(error);
        this.transport.reconnect('subscription');
      }
      return false;
    }
  }

  /**
   * Whether everything up to the journal's end has been delivered. A position
   * beyond that end was received since the end was read, unless somebody forged it
   * or the journal was rewound: then the journal does not have it.
   */
  async #isCurrent(tail: string): Promise<boolean> {
    const { position, catchingUp } = this.receiver.cursor;
    if (position === null || catchingUp) return false;
    if (tail === position) return true;
    if (compareOffsets(tail, position) > 0) return false;
    try {
      return await this.#journal.has(position);
    } catch {
      // Catching up reads the journal again, and reports what is wrong with it.
      return false;
    }
  }
}
