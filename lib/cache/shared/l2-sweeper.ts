import { randomUUID } from 'node:crypto';
import {
  compareOffsets,
  compilePattern,
  escapePattern,
} from '../../message/index.js';
import type { L2Store } from '../../transport/index.js';

/** One instance sweeps; if it dies, another takes over after so long. */
const LEASE_MS = 10_000;
/** What others find of what was swept, long after the last has asked. */
const SWEPT_MS = 3_600_000;
/** Between two steps, so that Redis has time for others. */
const PAUSE_MS = 2;
/** Patterns that wait; beyond it, one for everything. */
const PATTERN_LIMIT = 100;

interface Waiting {
  readonly pattern: string;
  /** Entries that were loaded before it go. */
  readonly before: string;
  /** It is the offset of the pattern itself: others give it, too. */
  readonly exact: boolean;
}

/**
 * Removes from Redis what patterns match: nobody serves it any more, but it takes
 * up room. One instance of the service does it for all, since each hears the same
 * patterns; whoever has the lease writes down how far it came.
 *
 * @internal
 */
export class L2Sweeper {
  readonly #holder = randomUUID();
  #waiting: Waiting[] = [];
  #running = false;
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(
    private readonly prefix: string,
    private readonly family: string,
    private readonly store: L2Store,
  ) {}

  add(pattern: string, before: string, exact: boolean): void {
    this.#waiting.push({ pattern, before, exact });
    if (this.#waiting.length > PATTERN_LIMIT) {
      this.#waiting = [{ pattern: '*', before, exact }];
    }
    if (this.#running || this.#closed) return;
    this.#running = true;
    void this.#run();
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      try {
        const mine = await this.#lease(LEASE_MS);
        if (!mine) await this.#pause(LEASE_MS / 2);
        await this.#forgetSwept();
        if (mine) await this.#sweep();
      } catch {
        // Redis is away, which the connection tells.
        await this.#pause(LEASE_MS / 2);
      }
    }
    this.#running = false;
  }

  /** All that waits; afterwards the lease is free. */
  async #sweep(): Promise<void> {
    const batch = this.#waiting;
    const last = batch.at(-1);
    if (last !== undefined) {
      if (!(await this.#removeAll(batch))) return;
      await this.store.write(this.#sweptKey, last.before, SWEPT_MS);
      this.#waiting = this.#waiting.filter((one) => !batch.includes(one));
    }
    await this.#lease(1);
  }

  /** @returns `false` if another has taken over */
  async #removeAll(batch: readonly Waiting[]): Promise<boolean> {
    const brooms = batch.map(({ pattern, before }) => ({
      matches: compilePattern(pattern),
      before,
    }));
    const [only] = batch;
    const keys =
      batch.length === 1
        ? escapePattern(this.prefix) + only!.pattern
        : `${escapePattern(this.prefix + this.family)}*`;
    for await (const names of this.store.scan(keys)) {
      const drops: Promise<void>[] = [];
      for (const name of names) {
        const key = name.slice(this.prefix.length);
        if (!key.startsWith(this.family)) continue;
        for (const { matches, before } of brooms) {
          if (matches(key)) drops.push(this.store.drop(name, before));
        }
      }
      await Promise.all(drops);
      await this.#pause(PAUSE_MS);
      if (this.#closed || !(await this.#lease(LEASE_MS))) return false;
    }
    return true;
  }

  /** By this instance or by another. */
  async #forgetSwept(): Promise<void> {
    const swept = (await this.store.get(this.#sweptKey))?.toString();
    if (swept === undefined) return;
    this.#waiting = this.#waiting.filter(({ before, exact }) => {
      const ahead = compareOffsets(before, swept);
      // An earlier one of this instance's own may have the same limit.
      return ahead > 0 || (ahead === 0 && !exact);
    });
  }

  get #sweptKey(): string {
    return `${this.prefix}~swept:${this.family}`;
  }

  #lease(ttl: number): Promise<boolean> {
    return this.store.lease(
      `${this.prefix}~sweep:${this.family}`,
      this.#holder,
      ttl,
    );
  }

  async #pause(ms: number): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}
