import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { compareOffsets, isOffset } from '../../message/index.js';
import type { PastFence } from '../../stream/index.js';
import type { PositionSource } from '../position-source.js';
import type { L2Commands } from './l2-commands.js';

/** Times of claims in milliseconds. @internal */
export const CLAIM_TIMES = {
  /** How long a claim lasts unless it is renewed: then its loader counts as dead. */
  lease: 2_000,
  /** How long it is known that a load has stored nothing. */
  vain: 1_000,
  /** How long a read waits for the loads of others. */
  wait: 10_000,
};

/** Pauses before it is read again whether a claim has ended, in milliseconds. */
const SHORTEST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;

/** Attempts to replace claims that are not worth waiting for. Bytes that are no text cannot be replaced. */
const TRIES = 3;

/** In place of the loader, once it has stored nothing. */
const IN_VAIN = 'in-vain';
const ENDED = 'ended';

/** A load of one key by this instance. @internal */
export interface Claim {
  readonly key: string;
  readonly text: string;
}

/**
 * Claims in Redis say which instance loads a key, and its position when it began. They
 * save loads and prove nothing: a value is served only by the offset of its entry.
 * A load that an invalidation has overtaken, as far as this instance knows, is not
 * worth waiting for, and its claim is replaced.
 *
 * @internal
 */
export class LoadClaims {
  /** Texts of claims of this instance: reads that may wait for their loads have joined them. */
  readonly #own = new Set<string>();

  constructor(
    private readonly commands: Pick<L2Commands, 'get' | 'swap'>,
    private readonly source: Pick<PositionSource, 'position' | 'fenceAt'>,
    private readonly trusts: (fence: PastFence) => boolean,
    private readonly times = CLAIM_TIMES,
  ) {}

  /** When a read that begins to wait now stops waiting, by the monotonic clock. */
  get deadline(): number {
    return performance.now() + this.times.wait;
  }

  /**
   * Claims a load.
   *
   * @returns the text of another instance's claim, which is worth waiting for; `null`
   * if the load cannot be shared
   */
  async take(key: string): Promise<Claim | string | null> {
    const { position } = this.source;
    if (position === null || !this.#isUseful(key, position)) return null;
    const text = `${position} ${randomUUID()}`;
    let expected = '';
    for (let tries = 0; tries < TRIES; tries++) {
      const there = await this.#swap(key, expected, text, this.times.lease);
      if (there === null) {
        this.#own.add(text);
        return { key, text };
      }
      if (there === undefined || this.#own.has(there)) return null;
      if (this.#isUseful(key, offsetOf(there))) {
        return there.endsWith(IN_VAIN) ? null : there;
      }
      expected = there;
    }
    return null;
  }

  /** Waits until a claim ends, or is not worth waiting for any more. */
  async whenEnded(key: string, text: string, deadline: number): Promise<void> {
    const start = performance.now();
    for (let now = start; now < deadline; now = performance.now()) {
      const pause = Math.max(SHORTEST_PAUSE_MS, (now - start) / 4);
      await delay(Math.min(pause, LONGEST_PAUSE_MS, deadline - now));
      const there = await this.commands.get(nameOf(key));
      if (there?.toString() !== text) return;
      if (!this.#isUseful(key, offsetOf(text))) return;
    }
  }

  /** Renews claims until the returned function is called. */
  renew(claims: readonly Claim[]): () => void {
    const { lease } = this.times;
    const timer = setInterval(() => {
      for (const { key, text } of claims) {
        void this.#swap(key, text, text, lease);
      }
    }, lease / 3).unref();
    return () => clearInterval(timer);
  }

  /** @param stored whether others find the value; if not, they do not wait for it */
  async end({ key, text }: Claim, stored: Promise<boolean>): Promise<void> {
    this.#own.delete(text);
    if (await stored) await this.#swap(key, text, ENDED, 1);
    else {
      const inVain = `${offsetOf(text)} ${IN_VAIN}`;
      await this.#swap(key, text, inVain, this.times.vain);
    }
  }

  /** Whether this instance would serve what is loaded from that position on. */
  #isUseful(key: string, offset: string): boolean {
    if (!isOffset(offset)) return false;
    const fence = this.source.fenceAt(offset);
    if (fence !== null) return this.trusts(fence) && fence.holds(key);
    // An offset beyond its position, which it is about to reach.
    const { position } = this.source;
    return position !== null && compareOffsets(offset, position) > 0;
  }

  #swap(
    key: string,
    expected: string,
    text: string,
    ttl: number,
  ): Promise<string | null | undefined> {
    return this.commands.swap(nameOf(key), expected, text, ttl);
  }
}

/** Beside the entries, where no sweep removes it. */
function nameOf(key: string): string {
  return `~load:${key}`;
}

function offsetOf(text: string): string {
  return text.slice(0, Math.max(0, text.indexOf(' ')));
}
