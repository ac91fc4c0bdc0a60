import type { Invalidation } from '../../message/index.js';
import type { SourceOutlet } from '../../publisher/index.js';
import type {
  ForwardedMessage,
  RelayPlace,
  RelayRecord,
} from '../../transport/index.js';
import { uuidOf } from '../derived-id.js';
import { formatLsn, type Lsn } from './lsn.js';
import { formatPlace, type SourcePlace } from './source-place.js';
import type { Gated } from './visibility-gate.js';

/** Messages and characters that one call carries. */
const BATCH = { messages: 500, size: 262_144 };
/** Announcements and keys that may wait; then nothing more is read. */
const ROOM = { announcements: 1_000, keys: 50_000 };

/**
 * Invalidations that leave together, and the place of the record once they are out.
 *
 * @internal
 */
export interface Announcement extends Gated {
  readonly invalidations: readonly Invalidation[];
  /** Number of keys and patterns. */
  readonly size: number;
  readonly place: SourcePlace;
  /** Names the transaction, which may be sent again; `null` if it is none. */
  readonly transaction: string | null;
}

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

/** How far an announcement has come. `early`: it was late, and is to be repeated. */
type Stage = 'waiting' | 'early' | 'announced';

interface Queued {
  readonly announcement: Announcement;
  stage: Stage;
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

  push(announcement: Announcement): void {
    this.#queue.push({ announcement, stage: 'waiting' });
    this.#keys += announcement.size;
    if (announcement.isVisible) this.send();
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
    if (this.#isSending || this.#isClosed) return;
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
    const call = this.#nextCall();
    if (call !== null) void this.#send(call);
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
    for (const { announcement } of this.#queue.splice(0, done)) {
      this.#keys -= announcement.size;
    }
    this.#dropAnnounced();
    if (lsn !== null) this.listener.onRecorded(lsn);
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

  #nextCall(): Call | null {
    const call: Call = {
      messages: [],
      stages: new Map(),
      done: 0,
      to: null,
      lsn: null,
    };
    let size = 0;
    let isInOrder = true;
    for (const queued of this.#queue) {
      const { messages } = call;
      if (messages.length >= BATCH.messages || size >= BATCH.size) break;
      const { announcement, stage } = queued;
      const { isVisible, isLate, place } = announcement;
      isInOrder &&= isVisible;
      if (isInOrder) {
        call.to = formatPlace(place);
        call.lsn = place.lsn;
        call.done++;
      }
      const next: Stage = isVisible
        ? 'announced'
        : isLate && stage === 'waiting'
          ? 'early'
          : stage;
      if (next === stage) continue;
      call.stages.set(queued, next);
      const payloads = this.#encode(announcement, next);
      for (const [index, payload] of payloads.entries()) {
        size += payload.length;
        // The last one moves the record.
        const isNext = isInOrder && index === payloads.length - 1;
        messages.push(
          isNext
            ? { payload, kind: 'next', offset: call.to }
            : { payload, kind: 'extra', offset: null },
        );
      }
    }
    return call.done > 0 || call.stages.size > 0 ? call : null;
  }

  #encode(
    { invalidations, place, transaction }: Announcement,
    stage: Stage,
  ): string[] {
    const position = formatLsn(place.lsn);
    const at = transaction === null ? null : { pg: position };
    const { server, timeline } = place.identity;
    // After a failover another transaction may have the position.
    const name = `${server} ${timeline} ${this.name} ${position} ${transaction} ${stage}`;
    return this.outlet.encode(
      invalidations,
      at,
      transaction === null
        ? null
        : (index, content) => uuidOf(`${name} ${index} ${content}`),
    );
  }
}

/** One call of the script, and what is true once it was answered. */
interface Call {
  readonly messages: ForwardedMessage[];
  readonly stages: Map<Queued, Stage>;
  /** Announcements at the head of the queue that leave it. */
  done: number;
  /** The place of the record; `null` where it stays. */
  to: string | null;
  lsn: Lsn | null;
}
