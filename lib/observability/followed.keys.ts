import type { Fence } from '../stream/index.js';

/** After an invalidation, when its copy is looked at. */
const LOOKS_MS = [1_000, 5_000, 60_000];
/** What an invalidation that is still on its way is given to arrive. */
const CONFIRM_MS = 1_000;
const TICK_MS = 100;
/** Keys at a time; a look that never ends holds one for good. */
const LIMIT = 1_000;

/** A moment, and whether anything has come since. @internal */
export interface Since {
  readonly time: number;
  readonly fence: Fence;
}

/** A copy that differed, which is to be confirmed. @internal */
export interface Doubt<V> extends Since {
  readonly copy: V;
}

/** @internal */
export interface FollowedKey<V> {
  readonly key: string;
  /** When the invalidation came for which it is followed. */
  readonly began: number;
  /** The last one that named it. */
  last: Since;
  /** Looks that are done or given up. */
  looks: number;
  /** When it is looked at next; `Infinity` while it is. */
  due: number;
  doubt: Doubt<V> | null;
}

/**
 * Invalidated keys and when to look at their copies, with one timer, which runs
 * only while there are any.
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

  get(key: string): FollowedKey<V> | undefined {
    return this.#keys.get(key);
  }

  /** @returns `false` if there are too many */
  follow(key: string, last: Since): boolean {
    if (this.#keys.size >= LIMIT) return false;
    const began = last.time;
    const due = began + LOOKS_MS[0]!;
    this.#keys.set(key, { key, began, last, looks: 0, due, doubt: null });
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
