import {
  copyOffset,
  everything,
  keysOf,
  weighPattern,
  type Invalidation,
  type WeighedPattern,
} from '../message/index.js';
import { BoundedMap } from './bounded.map.js';
import { EarlyMessages, type PublishProgress } from './early.messages.js';

/** Bounds of the memory. A fence from before the oldest remembered message does not hold. */
const KEY_LIMIT = 50_000;
const PATTERN_LIMIT = 1_000;
const POSITION_LIMIT = 50_000;
/** Keys of one message; a larger batch counts as "everything". */
const BATCH_LIMIT = 10_000;
/** Steps of patterns that one look may cost: some milliseconds. */
const LOOK_STEPS = 1_000_000;
/** Steps that compiling a pattern costs for each of its characters. */
const COMPILING_STEPS = 25;

/**
 * A moment in this instance's stream, taken before something is loaded.
 *
 * @publicApi
 */
export interface Fence {
  /**
   * Whether what was loaded since may be kept: nothing that affects the key was
   * delivered here after the fence was taken, as far as can be told.
   *
   * @param key a cache key such as `user:123`
   */
  holds(key: string): boolean;
}

interface RememberedPattern {
  readonly pattern: string;
  readonly time: number;
  /** Compiled when a fence first asks. */
  compiled: WeighedPattern | null;
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
  /** When each was last named, oldest first. */
  #keys = new BoundedMap<number>(KEY_LIMIT);
  #patterns: RememberedPattern[] = [];
  /** Up to here something was forgotten, or everything invalidated. */
  #unknown = -Infinity;
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
    return { holds: (key) => this.#unaffected(key, time) };
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
      holds: (key) => !this.#early.affects(key) && this.#unaffected(key, time),
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
    const now = this.#now;
    const keys = this.#keys;
    const patterns = this.#patterns;
    const read = this.#read;
    this.#keys = new BoundedMap(KEY_LIMIT);
    this.#patterns = [];
    this.#read = new BoundedMap(POSITION_LIMIT);
    // Before all that came since, which may be of any place in the journal.
    this.#now = -past.length;
    for (const message of past) {
      this.note(message);
      this.#read.set(message.offset, this.#now);
    }
    this.#now = now;
    for (const [key, time] of keys) this.#noteKey(key, time);
    for (const { pattern, time } of patterns) this.#notePattern(pattern, time);
    for (const [offset, time] of read) this.#read.set(offset, time);
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
      this.note(message);
    }
  }

  note(message: Invalidation): void {
    if (!this.#used) return;
    const time = ++this.#now;
    const keys = keysOf(message);
    if (keys === null) this.#notePattern(message.pattern ?? '*', time);
    else if (keys.length > BATCH_LIMIT) this.#notePattern('*', time);
    else for (const key of keys) this.#noteKey(key, time);
  }

  #noteKey(key: string, time: number): void {
    const forgotten = this.#keys.set(key, time);
    if (forgotten !== null) this.#forget(forgotten);
  }

  #notePattern(pattern: string, time: number): void {
    if (pattern === '*') {
      this.#forget(time);
      this.#keys.clear();
      this.#patterns = [];
      return;
    }
    this.#patterns.push({ pattern, time, compiled: null });
    // In steps, since an array loses its head slowly.
    if (this.#patterns.length < 2 * PATTERN_LIMIT) return;
    this.#forget(this.#patterns[PATTERN_LIMIT - 1]!.time);
    this.#patterns = this.#patterns.slice(PATTERN_LIMIT);
  }

  #forget(time: number): void {
    this.#unknown = Math.max(this.#unknown, time);
  }

  #unaffected(key: string, since: number): boolean {
    if (since < this.#unknown || (this.#keys.get(key) ?? -Infinity) > since) {
      return false;
    }
    let left = LOOK_STEPS;
    for (let at = this.#patterns.length - 1; at >= 0; at--) {
      const remembered = this.#patterns[at]!;
      if (remembered.time <= since) return true;
      if (remembered.compiled === null) {
        left -= COMPILING_STEPS * remembered.pattern.length;
        remembered.compiled = weighPattern(remembered.pattern);
      }
      const { matches, weight } = remembered.compiled;
      left -= weight * key.length;
      // A fence that takes too long to check does not hold.
      if (left < 0 || matches(key)) return false;
    }
    return true;
  }
}
