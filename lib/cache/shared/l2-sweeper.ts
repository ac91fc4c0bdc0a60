import { randomUUID } from 'node:crypto';
import {
  compareOffsets,
  compilePattern,
  escapePattern,
} from '../../message/index.js';
import type { L2Store } from '../../transport/index.js';

/** Lease of the instance that sweeps; if it dies, another one takes over after it. */
const LEASE_MS = 10_000;
/** TTL of the record of the last sweep, which other instances read. */
const SWEPT_MS = 3_600_000;
/** Pause between two steps, so that Redis has time for others. */
const PAUSE_MS = 2;
/** Patterns that wait; beyond it, one pattern for everything. */
const PATTERN_LIMIT = 100;

interface Waiting {
  readonly pattern: string;
  /** Offset: entries whose load began before it are removed. */
  readonly before: string;
  /** `before` is the offset of the pattern itself, as every instance sees it. */
  readonly exact: boolean;
}

/**
 * Removes entries that patterns match from Redis: no instance serves them any more,
 * but they take up memory. Every instance receives the same patterns, so one of them
 * sweeps for all: the one that holds the lease, which records how far it came.
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
        // The connection reports that Redis is away.
        await this.#pause(LEASE_MS / 2);
      }
    }
    this.#running = false;
  }

  /** Sweeps all waiting patterns, then frees the lease. */
  async #sweep(): Promise<void> {
    // A copy: patterns that arrive meanwhile wait for the next sweep.
    const batch = [...this.#waiting];
    const last = batch.at(-1);
    if (last !== undefined) {
      if (!(await this.#removeAll(batch))) return;
      await this.store.write(this.#sweptKey, last.before, SWEPT_MS);
      this.#waiting = this.#waiting.filter((one) => !batch.includes(one));
    }
    await this.#lease(1);
  }

  /** @returns `false` if another instance has taken over */
  async #removeAll(batch: readonly Waiting[]): Promise<boolean> {
    const patterns = batch.map(({ pattern, before }) => ({
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
        for (const { matches, before } of patterns) {
          if (matches(key)) drops.push(this.store.drop(name, before));
        }
      }
      await Promise.all(drops);
      await this.#pause(PAUSE_MS);
      if (this.#closed || !(await this.#lease(LEASE_MS))) return false;
    }
    return true;
  }

  /** Forgets patterns that this or another instance has swept. */
  async #forgetSwept(): Promise<void> {
    const swept = (await this.store.get(this.#sweptKey))?.toString();
    if (swept === undefined) return;
    this.#waiting = this.#waiting.filter(({ before, exact }) => {
      const ahead = compareOffsets(before, swept);
      // An earlier pattern without an offset of its own may have the same limit.
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
