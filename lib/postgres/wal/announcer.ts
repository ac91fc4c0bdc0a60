import type { SourceOutlet } from '../../publisher/index.js';
import type { RelayPlace, RelayRecord } from '../../transport/index.js';
import { nextCall, type Call, type Queued } from './announcer-call.js';
import type { Announcement } from './announcements.js';
import type { Lsn } from '../../message/index.js';

/** Announcements and keys that may wait; then nothing more is read. */
const ROOM = { announcements: 1_000, keys: 50_000 };

/** @internal */
export interface AnnouncerListener {
  /** Everything up to a place is in the journal. */
  onRecorded(lsn: Lsn): void;
  /** Another holder has moved the record. */
  onOvertaken(): void;
  onFailed(error: Error): void;
  /** There may be room for more. */
  onRoom(): void;
}

/**
 * Publishes announcements, one call at a time, and moves the record with them in one
 * step. A visible one overtakes those that are not, and the record waits for them: a
 * holder that is killed meanwhile announces both again.
 *
 * @internal
 */
export class Announcer {
  #queue: Queued[] = [];
  #keys = 0;
  #isSending = false;
  #isClosed = false;
  #idle: (() => void)[] = [];
  #pushed = 0;
  /** The number of the last one that is recorded, with all before it. */
  #recorded = 0;
  /** Everything up to a number was all there was as of a time by `performance.now()`. */
  #proof: { readonly upTo: number; readonly asOf: number } | null = null;
  /** Whether a proof has compared the record since the last check. */
  #hasCompared = false;

  constructor(
    /** Names the slot in the ids of messages. */
    private readonly name: string,
    private readonly record: RelayRecord,
    /** The place of the record. */
    private from: RelayPlace,
    private readonly outlet: SourceOutlet,
    private readonly listener: AnnouncerListener,
  ) {}

  get isFull(): boolean {
    return this.#queue.length > ROOM.announcements || this.#keys > ROOM.keys;
  }

  get isIdle(): boolean {
    return this.#queue.length === 0 && !this.#isSending;
  }

  /** When the oldest transaction was committed that is not announced; `null` for none. */
  get oldestCommit(): bigint | null {
    const oldest = this.#queue.find(
      ({ announcement, stage }) =>
        stage !== 'announced' && announcement.committedAt !== null,
    );
    return oldest?.announcement.committedAt ?? null;
  }

  push(announcement: Announcement): void {
    const number = ++this.#pushed;
    this.#queue.push({ announcement, number, stage: 'waiting' });
    this.#keys += announcement.size;
    if (announcement.isVisible) this.send();
  }

  /**
   * Records, once everything that was pushed is in the journal, that it was all there was
   * as of this time by `performance.now()`.
   */
  prove(asOf: number): void {
    this.#proof = { upTo: this.#pushed, asOf };
    this.send();
  }

  /** Resolves once everything that was pushed is in the journal. */
  whenIdle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): void {
    this.#isClosed = true;
    this.#queue = [];
  }

  /** Looks whether the record is still where this holder has left it. */
  async check(): Promise<void> {
    const hasCompared = this.#hasCompared;
    this.#hasCompared = false;
    if (hasCompared || this.#isSending || this.#isClosed) return;
    const { from } = this;
    try {
      const { place } = await this.record.read();
      const isSame =
        place.offset === from.offset && place.restarts === from.restarts;
      const isCurrent = from === this.from && !this.#isSending;
      if (isCurrent && !isSame && !this.#isClosed) this.listener.onOvertaken();
    } catch (error) {
      if (!this.#isClosed) this.listener.onFailed(error as Error);
    }
  }

  /** Sends what may leave now. */
  send(): void {
    if (this.#isSending || this.#isClosed) return;
    const proof = this.#proof;
    if (proof !== null && proof.upTo <= this.#recorded) {
      return void this.#prove(proof.asOf);
    }
    const call = nextCall(this.#queue, this.name, this.outlet);
    if (call !== null) void this.#send(call);
  }

  async #prove(asOf: number): Promise<void> {
    this.#proof = null;
    this.#isSending = true;
    try {
      const age = performance.now() - asOf;
      const isThere = await this.record.prove(this.from, age);
      this.#isSending = false;
      if (this.#isClosed) return;
      if (!isThere) return this.listener.onOvertaken();
      this.#hasCompared = true;
      this.#next();
    } catch (error) {
      this.#isSending = false;
      if (!this.#isClosed) this.listener.onFailed(error as Error);
    }
  }

  async #send(call: Call): Promise<void> {
    this.#isSending = true;
    try {
      const to = call.to ?? this.from.offset;
      const place = await this.record.forward(this.from, to, call.messages);
      this.#isSending = false;
      if (this.#isClosed) return;
      if (place === null) return this.listener.onOvertaken();
      this.from = place;
      this.#sent(call);
    } catch (error) {
      this.#isSending = false;
      if (!this.#isClosed) this.listener.onFailed(error as Error);
    }
  }

  #sent({ stages, done, lsn }: Call): void {
    for (const [queued, stage] of stages) queued.stage = stage;
    for (const { announcement, number } of this.#queue.splice(0, done)) {
      this.#keys -= announcement.size;
      this.#recorded = number;
    }
    this.#dropAnnounced();
    if (lsn !== null) this.listener.onRecorded(lsn);
    this.#next();
  }

  #next(): void {
    this.send();
    if (!this.isFull) this.listener.onRoom();
    if (!this.isIdle) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Behind one that is not visible, the last place of those that are out is enough. */
  #dropAnnounced(): void {
    const queue = this.#queue;
    const isCovered = (queued: Queued, index: number): boolean =>
      queued.stage === 'announced' && queue[index + 1]?.stage === 'announced';
    if (!queue.some(isCovered)) return;
    this.#queue = queue.filter((queued, index) => !isCovered(queued, index));
    this.#keys = this.#queue.reduce(
      (sum, { announcement }) => sum + announcement.size,
      0,
    );
  }
}
