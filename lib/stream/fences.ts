import {
  compilePattern,
  keysOf,
  type InvalidationMessage,
} from '../message/index.js';

/** Names and patterns that are remembered; of older ones it is too late to tell. */
const KEY_LIMIT = 10_000;
const PATTERN_LIMIT = 1_000;

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
  matches: ((key: string) => boolean) | null;
}

/**
 * What was invalidated lately. Costs nothing until the first fence is taken.
 *
 * @internal
 */
export class Fences {
  /** Messages so far. */
  #now = 0;
  #used = false;
  /** When each was last named, oldest first. */
  readonly #keys = new Map<string, number>();
  #patterns: RememberedPattern[] = [];
  /** Up to here something was forgotten, or everything invalidated. */
  #unknown = 0;

  take(): Fence {
    this.#used = true;
    const time = this.#now;
    return { holds: (key) => this.#unaffected(key, time) };
  }

  note(message: InvalidationMessage): void {
    if (!this.#used) return;
    const time = ++this.#now;
    const keys = keysOf(message);
    if (keys === null) this.#notePattern(message.pattern ?? '*', time);
    else for (const key of keys) this.#noteKey(key, time);
  }

  #noteKey(key: string, time: number): void {
    this.#keys.delete(key);
    this.#keys.set(key, time);
    if (this.#keys.size <= KEY_LIMIT) return;
    const [oldest] = this.#keys;
    this.#forget(oldest![1]);
    this.#keys.delete(oldest![0]);
  }

  #notePattern(pattern: string, time: number): void {
    if (pattern === '*') {
      this.#forget(time);
      this.#keys.clear();
      this.#patterns = [];
      return;
    }
    this.#patterns.push({ pattern, time, matches: null });
    // In steps, since an array loses its head slowly.
    if (this.#patterns.length < 2 * PATTERN_LIMIT) return;
    this.#forget(this.#patterns[PATTERN_LIMIT - 1]!.time);
    this.#patterns = this.#patterns.slice(PATTERN_LIMIT);
  }

  #forget(time: number): void {
    this.#unknown = Math.max(this.#unknown, time);
  }

  #unaffected(key: string, since: number): boolean {
    if (since < this.#unknown || (this.#keys.get(key) ?? 0) > since) {
      return false;
    }
    for (let at = this.#patterns.length - 1; at >= 0; at--) {
      const remembered = this.#patterns[at]!;
      if (remembered.time <= since) return true;
      remembered.matches ??= compilePattern(remembered.pattern);
      if (remembered.matches(key)) return false;
    }
    return true;
  }
}
