import { copyText, everything, type Invalidation } from '../message/index.js';
import { EarlyMessages } from './early-messages.js';
import type { PublishProgress } from './publish-progress.js';
import { RecentChanges } from './recent-changes.js';
import { RecentTicks } from './recent-ticks.js';

/** Offsets that are remembered, of received and of replayed messages each. */
const POSITION_LIMIT = 50_000;

/**
 * A moment in this instance's stream, taken before something is loaded.
 *
 * @publicApi
 */
export interface Fence {
  /**
   * Whether a value loaded since may be kept: no message that affects any of the
   * keys was delivered here after the fence was taken. `false` if that is unknown.
   *
   * @param keys cache keys such as `user:123`
   */
  holds(...keys: string[]): boolean;
}

/** @internal */
export interface PastFence extends Fence {
  /** Whether messages since then were read from the journal, where foreign messages are missing. */
  readonly recalled: boolean;
}

/** A message with a place in the journal. */
type Recalled = Invalidation & { readonly offset: string };

/**
 * Takes fences, and remembers recent messages and offsets to check them. Costs
 * nothing until the first fence is taken.
 *
 * @internal
 */
export class Fences {
  /** The current tick: messages recorded so far. */
  #now = 0;
  #used = false;
  #changes = new RecentChanges();
  /**
   * Own messages, again at the tick when their offset was reached. For loads of this
   * instance they count from their local delivery; for an offset, from both.
   */
  readonly #settled = new RecentChanges();
  /** Tick at which each offset was reached by its message. */
  #received: RecentTicks | null = null;
  /** Tick of each offset that was read from the journal, where foreign messages are missing. */
  #replayed = new RecentTicks(POSITION_LIMIT);
  readonly #early = new EarlyMessages();
  /** Position of this instance when tracking began. */
  #first: string | null = null;

  take(): Fence {
    this.#used = true;
    const time = this.#now;
    return { holds: (...keys) => this.#changes.unaffected(keys, time) };
  }

  /**
   * A fence as of when this instance was at a journal offset; `null` if it never was,
   * or too long ago. An instance that began a load at that offset had applied the
   * same messages, so the messages since then decide about its value.
   */
  takenAt(offset: string): PastFence | null {
    const received = this.#received?.get(offset);
    const time = received ?? this.#replayed.get(offset);
    if (time === undefined) return null;
    return {
      holds: (...keys) =>
        !keys.some((key) => this.#early.affects(key)) &&
        this.#changes.unaffected(keys, time) &&
        this.#settled.unaffected(keys, time),
      recalled: received === undefined,
    };
  }

  /**
   * Remembers offsets from now on.
   *
   * @param early whether own messages, unknown ones, were delivered before their
   * offset was reached
   */
  trackPositions(early = false): void {
    this.#used = true;
    if (this.#received !== null) return;
    this.#received = new RecentTicks(POSITION_LIMIT);
    if (early) this.recordEarly(everything());
  }

  /**
   * Remembers that this instance has delivered every message up to an offset.
   *
   * @param received whether it received the message itself, and did not replay it
   */
  reached(offset: string, received: boolean): void {
    if (this.#received === null || this.#received.has(offset)) return;
    if (this.#replayed.has(offset)) return;
    const kept = copyText(offset);
    this.#first ??= kept;
    (received ? this.#received : this.#replayed).set(kept, this.#now);
  }

  /** Position of this instance when tracking began; `null` if it had none. */
  get firstPosition(): string | null {
    return this.#first;
  }

  /**
   * Remembers messages from before positions were tracked.
   *
   * @param past messages of the journal, in order and complete, up to the first
   * position
   */
  recall(past: readonly Recalled[]): void {
    const later = this.#changes;
    const replayed = this.#replayed;
    this.#changes = new RecentChanges();
    this.#replayed = new RecentTicks(POSITION_LIMIT);
    // Ticks before those of all later messages, which may be at any offset.
    let time = -past.length;
    for (const message of past) {
      this.#changes.record(message, ++time);
      this.#replayed.set(message.offset, time);
    }
    this.#changes.append(later);
    for (const [offset, at] of replayed) this.#replayed.set(offset, at);
  }

  /** Whether own messages were delivered locally before their journal offset was reached. */
  get early(): boolean {
    return this.#early.any;
  }

  /** Records an own message that is delivered before its offset is reached. */
  recordEarly(message: Invalidation): void {
    this.record(message);
    if (this.#received !== null) this.#early.add(message);
  }

  /**
   * Settles early messages whose offset was reached: they affect loads that began at
   * any offset so far.
   */
  settleEarly(
    progress: Omit<PublishProgress, 'pending'>,
    position: string,
  ): void {
    for (const message of this.#early.take(progress, position)) {
      this.#settled.record(message, ++this.#now);
    }
  }

  record(message: Invalidation): void {
    if (this.#used) this.#changes.record(message, ++this.#now);
  }
}
