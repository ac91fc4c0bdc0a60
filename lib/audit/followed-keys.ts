import type { Fence } from '../stream/index.js';

/** After an invalidation, when its copy is looked at. */
const LOOKS_MS = [1_000, 5_000, 60_000];
/** Milliseconds in which an invalidation that is on its way may still arrive. */
const CONFIRM_MS = 1_000;
const TICK_MS = 100;
/** Keys at a time; a look that never ends holds one for good. */
const LIMIT = 1_000;

/** A copy that differed. @internal */
export interface Doubt<V> {
  readonly copy: V;
  /** From before it was looked at. */
  readonly fence: Fence;
  readonly time: number;
  /** When it first did; at every look since it did again. */
  readonly since: number;
}

/** @internal */
export interface FollowedKey<V> {
  readonly key: string;
  /** When its invalidation came. */
  readonly began: number;
  /** Looks that are done or given up. */
  looks: number;
  /** When it is looked at next; `Infinity` while it is. */
  due: number;
  /** To be confirmed. */
  doubt: Doubt<V> | null;
  /** Confirmed by the last look. */
  stale: Doubt<V> | null;
}

/**
 * Invalidated keys and the times at which to compare their copies. One timer runs while
 * there are keys.
 *
 * @internal
 */
export class FollowedKeys<V> {
  readonly #keys = new Map<string, FollowedKey<V>>();
  #timer: NodeJS.Timeout | null = null;

  /** @param look resolves when it is done, and never rejects */
  constructor(
    private readonly look: (followed: FollowedKey<V>) => Promise<void>,
  ) {}

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** @returns `false` if there are too many */
  follow(key: string): boolean {
    if (this.#keys.size >= LIMIT) return false;
    const began = performance.now();
    this.#keys.set(key, {
      key,
      began,
      looks: 0,
      due: began + LOOKS_MS[0]!,
      doubt: null,
      stale: null,
    });
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref();
    return true;
  }

  clear(): void {
    this.#keys.clear();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    const now = performance.now();
    for (const followed of this.#keys.values()) {
      if (followed.due > now) continue;
      followed.due = Infinity;
      void this.look(followed).then(() => this.#goOn(followed));
    }
  }

  #goOn(followed: FollowedKey<V>): void {
    if (followed.doubt !== null) {
      followed.due = followed.doubt.time + CONFIRM_MS;
      return;
    }
    const next = LOOKS_MS[++followed.looks];
    if (next !== undefined) {
      followed.due = followed.began + next;
      return;
    }
    this.#keys.delete(followed.key);
    if (this.#keys.size === 0) this.clear();
  }
}
