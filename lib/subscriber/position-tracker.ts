import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { filter, firstValueFrom } from 'rxjs';
import { PositionSource } from '../cache/index.js';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { InvalidationSerializationError } from '../errors/index.js';
import {
  compareOffsets,
  JOURNAL_START,
  type EntityType,
} from '../message/index.js';
import {
  InvalidationStream,
  PublishProgress,
  type Fence,
  type PastFence,
} from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { ConfirmedOffset } from './confirmed-offset.js';
import { HeartbeatPace } from './heartbeat-pace.js';
import { JournalReader } from './journal-reader.js';
import { MessageReceiver } from './message-receiver.js';
import { OffsetWaiters } from './offset-waiters.js';
import { readPast } from './past-reader.js';
import { StaleAlarm } from './stale-alarm.js';
import { Staleness } from './staleness.js';
import { StatusLog } from './status-log.js';

/** Pause before the journal is read again for earlier messages, in milliseconds. */
const RECALL_AGAIN_MS = 1_000;

/** Types of caches with a bound that are remembered; beyond it, "everything". */
const BOUND_TYPES = 1_000;

/** @internal */
export interface PositionOptions {
  readonly heartbeatTimeout: number;
  readonly maxMessageBytes: number;
}

/**
 * The position of this instance in the journal, and its earlier positions: for
 * `caughtUp()`, and for caches, which compare their loads with it.
 *
 * @internal
 */
@Injectable()
export class PositionTracker extends PositionSource {
  readonly #waiters = new OffsetWaiters();
  readonly #confirmed: ConfirmedOffset;
  /** Whether messages of publishers without a journal were received. */
  #foreign = false;
  #onForeign = (): void => {};
  readonly #alarms = new Set<StaleAlarm>();
  /** Types of caches with a bound. */
  readonly #boundTypes = new Set<EntityType>();
  /** Whether second tiers need earlier positions. */
  #tracks = false;
  #recalled: Promise<void> | null = null;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: PositionOptions,
    private readonly receiver: MessageReceiver,
    private readonly progress: PublishProgress,
    private readonly transport: InvalidationTransport,
    private readonly stream: InvalidationStream,
    private readonly staleness: Staleness,
    private readonly status: StatusLog,
    private readonly pace: HeartbeatPace,
  ) {
    super();
    const journal = new JournalReader(transport, options.heartbeatTimeout);
    this.#confirmed = new ConfirmedOffset(journal);
  }

  /** Up to where this instance has delivered everything; `null` if that is not known. */
  get position(): string | null {
    const { position } = this.receiver;
    return position === JOURNAL_START ? null : position;
  }

  /** Whether caches must be bypassed: what was missed is not known. */
  get bypass(): boolean {
    return this.staleness.bypass;
  }

  get withoutProof(): number {
    return this.staleness.withoutProof;
  }

  boundStaleness(
    cache: string,
    maxStaleness: number,
    entityType: EntityType | null,
  ): void {
    this.pace.bound(cache, maxStaleness);
    if (entityType === null || this.#boundTypes.size > BOUND_TYPES) return;
    this.#boundTypes.add(entityType);
  }

  whenStale(maxStaleness: number, listener: () => void): () => void {
    const alarm = new StaleAlarm(this.staleness, maxStaleness, listener);
    this.#alarms.add(alarm);
    return () => {
      alarm.stop();
      this.#alarms.delete(alarm);
    };
  }

  /** A new connection, perhaps to another server: caches with a bound begin anew. */
  reconnected(): void {
    for (const alarm of this.#alarms) alarm.ring();
    if (this.#boundTypes.size > BOUND_TYPES) {
      return this.receiver.deliverEverything('new-connection');
    }
    for (const type of this.#boundTypes) {
      this.receiver.deliverAllOf(type, 'new-connection');
    }
  }

  /** Whether messages of publishers without a journal were received. */
  get foreign(): boolean {
    return this.#foreign;
  }

  /** Calls the listener at every message of a publisher without a journal. */
  whenForeign(listener: () => void): void {
    this.#onForeign = listener;
  }

  fence(): Fence {
    return this.stream.fences.take();
  }

  /** A fence as of when this instance was at an offset; `null` if it never was. */
  fenceAt(offset: string): PastFence | null {
    this.#settleEarly();
    return this.stream.fences.takenAt(offset);
  }

  /**
   * Whether the journal has an entry at this offset; `false` if it cannot be read.
   * Callers that ask for the same offset at one time share one reading.
   */
  isInJournal(offset: string): Promise<boolean> {
    if (offset === this.receiver.horizon.tail) return Promise.resolve(true);
    return this.#confirmed.has(offset);
  }

  /** Remembers from now on where this instance has been, for `fenceAt`. */
  trackPositions(): void {
    if (this.#tracks) return;
    this.#tracks = true;
    const { position } = this.receiver;
    const { lastOffset, pending } = this.progress;
    const isAhead =
      lastOffset !== null &&
      (position === null || compareOffsets(position, lastOffset) < 0);
    // Own messages published before were not remembered as early.
    this.stream.fences.trackPositions(isAhead || pending > 0);
    if (this.position !== null)
      this.stream.fences.reached(this.position, false);
  }

  /** Reads in the journal the messages from before positions were tracked. */
  recall(): Promise<void> {
    this.#recalled ??= this.#recall();
    return this.#recalled;
  }

  /**
   * Resolves once the position has reached an offset.
   *
   * @param timeout in milliseconds
   */
  async reached(offset: string, timeout: number): Promise<void> {
    const { position, horizon } = this.receiver;
    if (position !== null && compareOffsets(offset, position) <= 0) return;
    if (!horizon.allows(offset)) {
      throw new InvalidationSerializationError(
        'That offset lies in the future: no message can have it yet.',
        'Give the offset of a receipt, unchanged; if it is one, correct the clocks of the servers.',
      );
    }
    await this.#waiters.wait(offset, timeout);
  }

  /** The position may have moved. @param live by a message that came over the channel */
  moved(live: boolean): void {
    if (!this.#waiters.any && !this.#tracks) return;
    const { position } = this.receiver;
    if (position === null) return;
    this.#waiters.reached(position);
    this.#settleEarly();
    if (position !== JOURNAL_START) this.stream.fences.reached(position, live);
  }

  /** "Everything" was delivered, which covers whatever `caughtUp()` calls wait for. */
  widened(): void {
    this.#waiters.releaseAll();
  }

  /** A message came from a publisher without a journal. */
  foreignReceived(): void {
    this.#foreign = true;
    this.#onForeign();
  }

  close(): void {
    for (const alarm of this.#alarms) alarm.stop();
    this.#waiters.close();
    this.#confirmed.cancel();
  }

  /** Tries again after a failure: second tiers wait for it, and call it once. */
  async #recall(): Promise<void> {
    const live = this.status.status$.pipe(
      filter(({ state }) => state === 'live'),
    );
    while (await firstValueFrom(live, { defaultValue: null })) {
      const { firstPosition } = this.stream.fences;
      if (firstPosition === null) return;
      try {
        const past = await readPast(
          this.transport,
          firstPosition,
          this.options.maxMessageBytes,
        );
        return this.stream.recall(past);
      } catch {
        await delay(RECALL_AGAIN_MS, undefined, { ref: false });
      }
    }
  }

  /** Early messages whose turn in the journal has come are early no more. */
  #settleEarly(): void {
    const { position, catchingUp } = this.receiver.cursor;
    if (!this.stream.fences.early || position === null || catchingUp) return;
    this.stream.fences.settleEarly(this.progress, position);
  }
}
