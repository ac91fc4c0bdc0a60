import {
  familyOf,
  isFamily,
  keysOf,
  weighAffecting,
  type Invalidation,
  type WeighedPattern,
} from '../message/index.js';
import { BoundedMap } from './bounded-map.js';

/** Bounds of the memory. A fence from before the oldest remembered message does not hold. */
const KEY_LIMIT = 50_000;
const PATTERN_LIMIT = 1_000;
/** Keys of one message; a larger batch counts as "everything". */
const BATCH_LIMIT = 10_000;
/** Steps of patterns that one look may cost: some milliseconds. */
const LOOK_STEPS = 1_000_000;
/** Steps that compiling a pattern costs for each of its characters. */
const COMPILING_STEPS = 25;
/** Steps that comparing a key with the simplest pattern costs. */
const COMPARING_STEPS = 64;

interface RememberedPattern {
  readonly pattern: string;
  readonly time: number;
  /** Compiled when a fence first asks. */
  compiled: WeighedPattern | null;
}

/**
 * Keys and patterns that were invalidated lately, and when, by the clock of
 * whoever notes them.
 *
 * @internal
 */
export class RecentChanges {
  /** When each was last named, oldest first. */
  readonly #keys = new BoundedMap<number>(KEY_LIMIT);
  /** When a key of each entity type was; `null` until somebody asks for a type. */
  #families: BoundedMap<number> | null = null;
  #patterns: RememberedPattern[] = [];
  /** Up to here something was forgotten, or everything invalidated. */
  #unknown = -Infinity;
  #latest = -Infinity;

  note(message: Invalidation, time: number): void {
    this.#latest = time;
    const keys = keysOf(message);
    if (keys === null) this.#notePattern(message.pattern ?? '*', time);
    else if (keys.length > BATCH_LIMIT) this.#notePattern('*', time);
    else for (const key of keys) this.#noteKey(key, time);
  }

  /** Adds changes that were noted after all of these. */
  append(later: RecentChanges): void {
    this.#forget(later.#unknown);
    for (const [key, time] of later.#keys) this.#noteKey(key, time);
    for (const { pattern, time } of later.#patterns) {
      this.#notePattern(pattern, time);
    }
    this.#latest = Math.max(this.#latest, later.#latest);
  }

  /**
   * Whether nothing since then is known to affect any of them, or may have been
   * forgotten.
   *
   * @param keys cache keys, and dependencies on many of them
   */
  unaffected(keys: readonly string[], since: number): boolean {
    if (since < this.#unknown) return false;
    for (const key of keys) if (this.#lastNamed(key) > since) return false;
    let left = LOOK_STEPS;
    for (let at = this.#patterns.length - 1; at >= 0; at--) {
      const remembered = this.#patterns[at]!;
      if (remembered.time <= since) return true;
      if (remembered.compiled === null) {
        left -= COMPILING_STEPS * remembered.pattern.length;
        remembered.compiled = weighAffecting(remembered.pattern);
      }
      const { matches, weight } = remembered.compiled;
      for (const key of keys) {
        left -= COMPARING_STEPS + weight * key.length;
        // A fence that takes too long to check does not hold.
        if (left < 0 || matches(key)) return false;
      }
    }
    return true;
  }

  #lastNamed(key: string): number {
    if (key === '') return this.#latest;
    const times = isFamily(key) ? this.#ofFamilies() : this.#keys;
    return times.get(key) ?? -Infinity;
  }

  #ofFamilies(): BoundedMap<number> {
    if (this.#families === null) {
      this.#families = new BoundedMap(KEY_LIMIT);
      // The newest of a type comes last.
      for (const [key, time] of this.#keys) this.#noteFamily(key, time);
    }
    return this.#families;
  }

  #noteKey(key: string, time: number): void {
    const forgotten = this.#keys.set(key, time);
    if (forgotten !== null) this.#forget(forgotten);
    if (this.#families !== null) this.#noteFamily(key, time);
  }

  #noteFamily(key: string, time: number): void {
    const forgotten = this.#families!.set(familyOf(key), time);
    if (forgotten !== null) this.#forget(forgotten);
  }

  #notePattern(pattern: string, time: number): void {
    if (pattern === '*') {
      this.#forget(time);
      this.#keys.clear();
      this.#families?.clear();
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
}
