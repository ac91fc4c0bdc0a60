import {
  copyText,
  familyOf,
  isFamily,
  keysOf,
  weighAffecting,
  type Invalidation,
  type WeighedPattern,
} from '../message/index.js';
import { RecentTicks } from './recent-ticks.js';

/** Keys and patterns remembered; a fence from before the oldest of them does not hold. */
const KEY_LIMIT = 50_000;
const PATTERN_LIMIT = 1_000;
/** Keys of one message; a larger batch counts as a pattern for everything. */
const BATCH_LIMIT = 10_000;
/** Steps that one check against patterns may cost: some milliseconds. */
const LOOK_STEPS = 1_000_000;
/** Steps that compiling a pattern costs for each of its characters. */
const COMPILING_STEPS = 25;
/** Steps that comparing a key with the simplest pattern costs. */
const COMPARING_STEPS = 64;

interface RememberedPattern {
  readonly pattern: string;
  readonly time: number;
  /** Compiled at the first check of a fence. */
  compiled: WeighedPattern | null;
}

/**
 * Keys and patterns that were invalidated lately, each with its tick: the caller
 * counts ticks up with each message.
 *
 * @internal
 */
export class RecentChanges {
  /** Tick at which each key was last invalidated. */
  readonly #keys = new RecentTicks(KEY_LIMIT);
  /** Tick of the last key of each family; `null` until the first check of a family. */
  #families: RecentTicks | null = null;
  #patterns: RememberedPattern[] = [];
  /** Fences taken before this tick cannot be checked any more, so they do not hold. */
  #unknown = -Infinity;
  #latest = -Infinity;

  record(message: Invalidation, time: number): void {
    this.#latest = time;
    const keys = keysOf(message);
    if (keys === null) this.#recordPattern(message.pattern ?? '*', time);
    else if (keys.length > BATCH_LIMIT) this.#recordPattern('*', time);
    else for (const key of keys) this.#recordKey(key, time);
  }

  /** Adds changes that were recorded after all of these. */
  append(later: RecentChanges): void {
    this.#forget(later.#unknown);
    for (const [key, time] of later.#keys) this.#recordKey(key, time);
    for (const { pattern, time } of later.#patterns) {
      this.#recordPattern(pattern, time);
    }
    this.#latest = Math.max(this.#latest, later.#latest);
  }

  /**
   * Whether no change since a tick affects any of these keys, as far as can still be
   * checked.
   *
   * @param keys cache keys and families
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
    const times = isFamily(key) ? this.#familyTicks() : this.#keys;
    return times.get(key) ?? -Infinity;
  }

  #familyTicks(): RecentTicks {
    if (this.#families === null) {
      this.#families = new RecentTicks(KEY_LIMIT);
      for (const [key, time] of this.#keys) {
        this.#recordFamily(this.#families, key, time);
      }
    }
    return this.#families;
  }

  #recordKey(key: string, time: number): void {
    this.#setTick(this.#keys, key, time);
    if (this.#families !== null) this.#recordFamily(this.#families, key, time);
  }

  #recordFamily(families: RecentTicks, key: string, time: number): void {
    // A part of the key would keep all of it in memory.
    const family = copyText(familyOf(key));
    const latest = Math.max(time, families.get(family) ?? -Infinity);
    this.#setTick(families, family, latest);
  }

  #setTick(ticks: RecentTicks, name: string, time: number): void {
    const forgotten = ticks.set(name, time);
    if (forgotten !== null) this.#forget(forgotten);
  }

  #recordPattern(pattern: string, time: number): void {
    if (pattern === '*') {
      this.#forget(time);
      this.#keys.clear();
      this.#families?.clear();
      this.#patterns = [];
      return;
    }
    this.#patterns.push({ pattern, time, compiled: null });
    // In batches, since removing the head of an array is slow.
    if (this.#patterns.length < 2 * PATTERN_LIMIT) return;
    this.#forget(this.#patterns[PATTERN_LIMIT - 1]!.time);
    this.#patterns = this.#patterns.slice(PATTERN_LIMIT);
  }

  #forget(time: number): void {
    this.#unknown = Math.max(this.#unknown, time);
  }
}
