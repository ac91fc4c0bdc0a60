import { randomUUID } from 'node:crypto';
import type { Instance } from '../message/index.js';
import type { ErrorReporter } from '../stream/index.js';
import type { InvalidationTransport, RelayRecord } from '../transport/index.js';
import { Forwarder } from './forwarder.js';
import { RelayHold } from './relay-hold.js';
import { RelayIntake } from './relay-intake.js';
import { RelayLog } from './relay-log.js';
import { RelayMessages } from './relay-messages.js';
import { NOWHERE, type RelayOutlet } from './relay-outlet.js';
import { Repeater } from './repeater.js';
import { ReplicaGate } from './replica-gate.js';
import { delayOf, type RegionSource } from './regions.options.js';
import { ServerCheck } from './server-check.js';
import type { ReaderOptions } from './reader-listener.js';
import { SourceReader } from './source-reader.js';

/** Milliseconds until the record is read again after an error. */
const AGAIN_MS = 1_000;
/** Tries to publish what was dropped, while another relay moves the record. */
const TRIES = 10;

/** @internal */
export interface RelayParts {
  readonly options: ReaderOptions;
  /** The name of this region. */
  readonly local: string;
  /** This region's own Redis. */
  readonly transport: InvalidationTransport;
  readonly instance: Instance;
  /** The names of all sources of this region. */
  readonly sources: readonly string[];
  readonly errors: ErrorReporter;
  /** Checks this region's own Redis. */
  readonly check: ServerCheck;
  /** Opens the Redis of the source. */
  readonly open: () => InvalidationTransport;
}

/**
 * Carries the invalidations of one source into this region. The record in this region's
 * Redis says where it is; a relay that is killed, cut off or overtaken by another one
 * begins again there. Of all instances one is the holder, and reads the source; the
 * others stand by.
 *
 * @internal
 */
export class RegionRelay {
  readonly log: RelayLog;
  readonly #record: RelayRecord;
  readonly #hold: RelayHold;
  readonly #messages: RelayMessages;
  readonly #intake: RelayIntake;
  readonly #outlet: RelayOutlet;
  readonly #repeater: Repeater | null;
  #reader: SourceReader | null = null;
  /** Checks the Redis of the source. */
  #check: ServerCheck | null = null;
  #again: NodeJS.Timeout | null = null;
  /** One more with each beginning: the answer to an earlier one is ignored. */
  #beginnings = 0;

  constructor(
    readonly source: string,
    private readonly settings: RegionSource,
    private readonly parts: RelayParts,
  ) {
    const { transport, options, local, instance, errors } = parts;
    this.log = new RelayLog(source, errors);
    const id = randomUUID();
    const { transit = false, held } = settings;
    this.#record = transport.relayRecord(source, id);
    this.#hold = new RelayHold(this.#record, {
      onTaken: () => this.#take(),
      onLost: () => void this.#standBy(),
      onFailed: (error) => this.log.failed(error),
    });
    this.#messages = new RelayMessages(
      { source, local, transit, sources: parts.sources },
      instance,
      options.maxMessageBytes,
    );
    const messages = this.#messages;
    const forwarder = new Forwarder(
      this.#record,
      (message) => messages.encode(message),
      {
        onForwarded: (forwarded) => this.#intake.forwarded(forwarded),
        onFailed: (error) => this.#failed(error),
      },
      options.queueByteLimit,
    );
    const delay = delayOf(settings);
    this.#outlet =
      held === undefined || delay === null
        ? forwarder
        : new ReplicaGate(
            forwarder,
            held,
            delay,
            (message) => messages.final(message),
            () => void this.#begin(),
            options.queueByteLimit,
          );
    this.#intake = new RelayIntake(
      messages,
      this.#outlet,
      this.log,
      [local, ...parts.sources],
      () => void this.#begin(),
    );
    this.#repeater =
      delay === null
        ? null
        : new Repeater(
            { ...options, delay },
            transport,
            transport.relayRecord(`${source}:repeat`, id),
            messages,
            (error) => this.log.failed(error),
          );
  }

  /** Whether this process reads the source. */
  get isHolder(): boolean {
    return this.#hold.isHeld;
  }

  start(): void {
    this.#hold.start(this.parts.options.heartbeatInterval);
  }

  async stop(): Promise<void> {
    await this.#standBy();
    await this.#hold.stop();
  }

  #take(): void {
    const { parts } = this;
    const intake = this.#intake;
    const transport = parts.open();
    const { faulty } = this.log;
    this.#check = new ServerCheck(this.source, transport, faulty, true);
    void parts.check.run();
    this.log.holds();
    this.#reader = new SourceReader(
      parts.options,
      transport,
      {
        onMessage: (message) => intake.next(message),
        onStray: (message) => intake.other(message, 'extra'),
        onForeign: (message) => intake.other(message, 'foreign'),
        onIgnored: () => intake.ignored(),
        onSubscribed: () => {
          void this.#check?.run();
          intake.subscribed();
        },
        onCaughtUp: () => intake.caughtUp(),
        onMissed: (tail) => intake.missed(tail),
        onOverflow: () => void this.#begin(),
        onUnreadable: () => intake.unreadable(),
        onProof: (asOf) => this.#outlet.prove(asOf),
        onError: (cause) => this.log.failed(cause),
        room: () => this.#outlet.room(),
      },
      { report: (error) => this.log.failed(error) },
    );
    this.#reader.start();
    this.#repeater?.start();
    void this.#begin();
  }

  async #standBy(): Promise<void> {
    const reader = this.#reader;
    this.#reader = null;
    this.#beginnings++;
    if (this.#again !== null) clearTimeout(this.#again);
    this.#again = null;
    this.#repeater?.stop();
    const isOwed = this.#intake.stop();
    this.#outlet.begin(NOWHERE);
    if (isOwed && reader !== null) await this.#replaceDropped();
    await reader?.stop();
  }

  /** Publishes "everything" for what was dropped: the next relay knows nothing of it. */
  async #replaceDropped(): Promise<void> {
    const payload = this.#messages.encode(this.#messages.everything());
    const message = { payload, kind: 'extra', offset: null } as const;
    this.log.widened('reconnected');
    try {
      for (let left = TRIES; left > 0; left--) {
        const { place } = await this.#record.read();
        // The next relay may move the record meanwhile.
        if (await this.#record.forward(place, place.offset, [message])) return;
      }
    } catch (error) {
      this.log.failed(error as Error);
    }
  }

  /** Begins where the record is; what was on its way is dropped, and read again. */
  async #begin(): Promise<void> {
    const beginning = ++this.#beginnings;
    this.#intake.drop();
    this.#reader?.pause();
    this.#outlet.begin(NOWHERE);
    try {
      const state = await this.#record.read();
      if (beginning !== this.#beginnings) return;
      this.#intake.begin(state);
      this.#outlet.begin(state.place);
      this.#reader?.begin(state.place.offset);
    } catch (error) {
      if (beginning === this.#beginnings) this.#failed(error as Error);
    }
  }

  /** @param error `null` if another relay has moved the record */
  #failed(error: Error | null): void {
    this.#reader?.pause();
    if (this.#reader === null || this.#again !== null) return;
    if (error === null) void this.#hold.look();
    else this.log.failed(error);
    this.#again = setTimeout(
      () => {
        this.#again = null;
        void this.#begin();
      },
      error === null ? 0 : AGAIN_MS,
    );
    this.#again.unref();
  }
}
