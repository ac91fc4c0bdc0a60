import { copyOffset, everything, type Invalidation } from '../message/index.js';
import { BoundedMap } from './bounded-map.js';
import { EarlyMessages, type PublishProgress } from './early-messages.js';
import { RecentChanges } from './recent-changes.js';

/** Offsets that are remembered of each kind. */
const POSITION_LIMIT = 50_000;

/**
 * A moment in this instance's stream, taken before something is loaded.
 *
 * @publicApi
 */
export interface Fence {
  /**
   * Whether what was loaded since may be kept: nothing that affects any of the
   * keys was delivered here after the fence was taken, as far as can be told.
   *
   * @param keys cache keys such as `user:123`
   */
  holds(...keys: string[]): boolean;
}

/** @internal */
export interface PastFence extends Fence {
  /** Whether some of the messages since then were read from the journal, where messages without a journal are missing. */
  readonly recalled: boolean;
}

/** A message with a place in the journal. */
type Recalled = Invalidation & { readonly offset: string };

/**
 * Remembers recent invalidations, so that loads can tell whether one has overtaken
 * them. Costs nothing until the first fence is taken.
 *
 * @internal
 */
export class Fences {
  /** Messages so far. */
  #now = 0;
  #used = false;
  #said = new RecentChanges();
  /**
   * Own messages, by when their turn in the journal came. For what is loaded here
   * they count from when they were told; for an offset, from their turn as well.
   */
  readonly #settled = new RecentChanges();
  /** When this instance came to each offset by hearing its message, oldest first. */
  #heard: BoundedMap<number> | null = null;
  /** Offsets that were read from the journal: messages without a journal may have been missed there. */
  #read = new BoundedMap<number>(POSITION_LIMIT);
  readonly #early = new EarlyMessages();
  /** Position of this instance when tracking began. */
  #first: string | null = null;

  take(): Fence {
    this.#used = true;
    const time = this.#now;
    return { holds: (...keys) => this.#said.unaffected(keys, time) };
  }

  /**
   * As of when this instance was at an offset of the journal; `null` if it never
   * was, or too long ago. Whoever loaded something when it was there had applied
   * what this one had, so what has come since says whether it is still right.
   */
  takenAt(offset: string): PastFence | null {
    const heard = this.#heard?.get(offset);
    const time = heard ?? this.#read.get(offset);
    if (time === undefined) return null;
    return {
      holds: (...keys) =>
        !keys.some((key) => this.#early.affects(key)) &&
        this.#said.unaffected(keys, time) &&
        this.#settled.unaffected(keys, time),
      recalled: heard === undefined,
    };
  }

  /**
   * From now on offsets are remembered: of those before, nothing is known.
   *
   * @param early whether own messages were delivered before their turn, and which
   * is not known
   */
  trackPositions(early = false): void {
    this.#used = true;
    if (this.#heard !== null) return;
    this.#heard = new BoundedMap(POSITION_LIMIT);
    if (early) this.noteEarly(everything());
  }

  /**
   * This instance has delivered everything up to an offset.
   *
   * @param heard whether by hearing its message, the next after the one before
   */
  reached(offset: string, heard: boolean): void {
    if (this.#heard === null || this.#heard.has(offset)) return;
    if (this.#read.has(offset)) return;
    const kept = copyOffset(offset);
    this.#first ??= kept;
    (heard ? this.#heard : this.#read).set(kept, this.#now);
  }

  /** Position of this instance when tracking began; `null` if it had none. */
  get firstPosition(): string | null {
    return this.#first;
  }

  /**
   * Remembers what was said before positions were tracked.
   *
   * @param past of the journal, in order, none left out, up to the first position
   */
  recall(past: readonly Recalled[]): void {
    const later = this.#said;
    const read = this.#read;
    this.#said = new RecentChanges();
    this.#read = new BoundedMap(POSITION_LIMIT);
    // Before all that came since, which may be of any place in the journal.
    let time = -past.length;
    for (const message of past) {
      this.#said.note(message, ++time);
      this.#read.set(message.offset, time);
    }
    this.#said.append(later);
    for (const [offset, at] of read) this.#read.set(offset, at);
  }

  /** Own messages were told that this instance has not come to in the journal. */
  get early(): boolean {
    return this.#early.any;
  }

  /** An own message, told before its turn. */
  noteEarly(message: Invalidation): void {
    this.note(message);
    if (this.#heard !== null) this.#early.add(message);
  }

  /**
   * Early messages that this instance has come to in the journal: whatever was
   * loaded at an offset so far is affected by them.
   */
  settleEarly(progress: PublishProgress, position: string): void {
    for (const message of this.#early.take(progress, position)) {
      this.#settled.note(message, ++this.#now);
    }
  }

  note(message: Invalidation): void {
    if (this.#used) this.#said.note(message, ++this.#now);
  }
}
