import { compareOffsets } from '../message/index.js';
import type {
  ErrorReporter,
  OffsetHorizon,
  PublishProgress,
} from '../stream/index.js';
import type { InvalidationTransport } from '../transport/index.js';
import { ConnectionProbe } from './connection-probe.js';

/** Heartbeats in a row that find something missing, before the connection is blamed. */
const DEAF = 3;

/** @internal */
export interface HeartbeatOptions {
  /** From one to the next, in milliseconds. */
  readonly heartbeatInterval: number;
  /** How long Redis may take to answer, in milliseconds. */
  readonly heartbeatTimeout: number;
}

/**
 * How old the last proof may be, in milliseconds, before something is wrong: one
 * heartbeat may fail if the next one succeeds.
 *
 * @internal
 */
export function usualStaleness({
  heartbeatInterval,
  heartbeatTimeout,
}: HeartbeatOptions): number {
  return 2 * (heartbeatInterval + heartbeatTimeout);
}

/** The reader of a channel, as far as a heartbeat checks it. @internal */
export interface HeartbeatSubject {
  readonly horizon: Pick<OffsetHorizon, 'sawTail'>;
  /** Up to where everything has been delivered; `null` if that is not known. */
  readonly position: string | null;
  /** Payloads so far. */
  readonly arrived: number;
  readonly cursor: {
    readonly position: string | null;
    readonly catchingUp: boolean;
  };
}

/** @internal */
export interface HeartbeatListener {
  /** Whether the subscription stands. */
  isSubscribed(): boolean;
  /**
   * A check begins: queries sent now are answered before the journal's end is.
   *
   * @param asOf what `performance.now()` says
   */
  onCheck(asOf: number): void;
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
  #probe: ConnectionProbe;

  constructor(
    private readonly options: HeartbeatOptions,
    private readonly transport: InvalidationTransport,
    private readonly receiver: HeartbeatSubject,
    private readonly progress: Pick<PublishProgress, 'lastOffset'>,
    private readonly errors: Pick<ErrorReporter, 'report'>,
    private readonly listener: HeartbeatListener,
  ) {
    this.#probe = this.#newProbe();
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
    this.#probe.cancel();
  }

  /** Beats by the options as they are now. */
  pace(): void {
    this.#probe.cancel();
    this.#probe = this.#newProbe();
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.start();
  }

  /** Redis takes commands; earlier ones may never be answered. */
  writable(): void {
    this.#probe.cancel();
  }

  #newProbe(): ConnectionProbe {
    const { options, transport, receiver, errors } = this;
    return new ConnectionProbe(options, transport, receiver, errors);
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
    this.listener.onCheck(asOf);
    const [tail, alive] = await Promise.all([
      this.#probe.tail(),
      this.#alive(),
    ]);
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
    // At the end nothing is waited for, so nothing is known to be missing.
    if (this.#timer === null) return;
    this.#countDeafness();
    this.listener.onMissing();
  }

  /**
   * Whether everything up to this end of the journal has been handed over: a
   * PING sent after that end was read is answered after what came before it.
   */
  async #hasHanded(tail: string): Promise<boolean> {
    return tail === this.receiver.position || (await this.#alive());
  }

  /** Whether the subscription stands, and answers. */
  async #alive(): Promise<boolean> {
    return this.listener.isSubscribed() && (await this.#probe.ping());
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

  /**
   * Whether everything up to the journal's end has been delivered. A position
   * beyond that end was received since the end was read, unless it was forged
   * or the journal was rewound: then the journal does not have it.
   */
  async #isCurrent(tail: string): Promise<boolean> {
    const { position, catchingUp } = this.receiver.cursor;
    if (position === null || catchingUp) return false;
    if (tail === position) return true;
    if (compareOffsets(tail, position) > 0) return false;
    return this.#probe.hasEntry(position);
  }
}
