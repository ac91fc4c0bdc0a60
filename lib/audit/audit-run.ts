import { CallbackFailedError } from '../errors/index.js';
import {
  cacheKeysStart,
  keysOf,
  type InvalidationMessage,
} from '../message/index.js';
import { atOnce, type ErrorReporter, type Fences } from '../stream/index.js';
import {
  resolveCacheAudit,
  type AuditableCache,
  type CacheAuditOptions,
  type ResolvedAuditOptions,
  type TruthLoader,
} from './cache-audit.options.js';
import type { AuditCounts, StaleCopy } from './cache-audit-report.js';
import { FollowedKeys, type Doubt, type FollowedKey } from './followed-keys.js';

const SECOND_MS = 1_000;

/** @internal */
export interface AuditContext {
  readonly fences: Fences;
  readonly counts: AuditCounts;
  readonly errors: ErrorReporter;
  readonly onStale: (stale: StaleCopy) => void;
}

/**
 * Compares a sample of the copies of one cache, after their invalidations, with the
 * source.
 *
 * @internal
 */
export class AuditRun<V> {
  readonly #followed = new FollowedKeys<V>((followed) => this.#look(followed));
  readonly #options: ResolvedAuditOptions<V>;
  readonly #prefix: string;
  /** Times of the comparisons in the last second, oldest first. */
  readonly #admitted: number[] = [];
  #closed = false;

  /**
   * @throws InvalidationConfigurationError that names every bad option
   * @throws InvalidMessageError for an impossible type
   */
  constructor(
    private readonly cache: AuditableCache<V>,
    private readonly load: TruthLoader<V>,
    options: CacheAuditOptions<V>,
    private readonly context: AuditContext,
  ) {
    this.#options = resolveCacheAudit(options);
    this.#prefix = cacheKeysStart(cache.entityType);
  }

  /** Follows keys of the message; never throws, since it runs during the delivery. */
  receive(message: InvalidationMessage): void {
    for (const key of keysOf(message) ?? []) {
      if (!key.startsWith(this.#prefix)) continue;
      // A key that is invalidated every second would never be compared if it began anew.
      if (this.#followed.has(key)) continue;
      if (Math.random() < this.#options.sampleRate) this.#follow(key);
    }
  }

  close(): void {
    this.#closed = true;
    this.#followed.clear();
  }

  #follow(key: string): void {
    if (!this.#followed.follow(key)) this.context.counts.skipped++;
  }

  /** Never rejects. */
  async #look(followed: FollowedKey<V>): Promise<void> {
    const { key, doubt, stale } = followed;
    followed.doubt = null;
    followed.stale = null;
    try {
      if (doubt === null) followed.doubt = await this.#compare(key, stale);
      else if (await this.#isStale(key, doubt)) {
        followed.stale = doubt;
        this.#found(key, doubt);
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  /**
   * @param stale the copy that the last look found stale
   * @returns the doubt that the next look has to confirm
   */
  async #compare(
    key: string,
    stale: Doubt<V> | null,
  ): Promise<Doubt<V> | null> {
    const { counts, fences } = this.context;
    const fence = fences.take();
    const copy = await this.#peek(key);
    if (copy === undefined || this.#closed) return null;
    if (!this.#admit()) {
      counts.skipped++;
      return null;
    }
    const truth = await this.#load(key);
    if (this.#closed) return null;
    if (this.#isEqual(copy, truth)) {
      counts.consistent++;
      return null;
    }
    const time = performance.now();
    const isKnown = stale !== null && this.#isEqual(copy, stale.copy);
    return { copy, fence, time, since: isKnown ? stale.since : time };
  }

  /** Whether a copy that differed still does, unless a message has come meanwhile. */
  async #isStale(key: string, doubt: Doubt<V>): Promise<boolean> {
    const { counts } = this.context;
    const holds = (): boolean => doubt.fence.holds(key);
    const copy = holds() ? await this.#peek(key) : undefined;
    if (this.#closed) return false;
    // A copy that is made anew at each look, such as one from Redis, is compared by value.
    if (copy === undefined || !this.#isEqual(copy, doubt.copy)) {
      counts.undecided++;
      return false;
    }
    const truth = await this.#load(key);
    if (this.#closed) return false;
    if (this.#isEqual(copy, truth)) counts.consistent++;
    else if (holds()) return true;
    else counts.undecided++;
    return false;
  }

  #found(key: string, { since }: Doubt<V>): void {
    const staleFor = performance.now() - since;
    this.context.counts.stale(staleFor);
    this.context.onStale({ key, staleFor });
  }

  #peek(key: string): V | undefined | Promise<V | undefined> {
    return this.cache.peek(key.slice(this.#prefix.length));
  }

  #load(key: string): ReturnType<TruthLoader<V>> {
    return this.load(key.slice(this.#prefix.length));
  }

  #isEqual(copy: V, truth: V | null | undefined): boolean {
    const isCopied = copy !== null && copy !== undefined;
    const isThere = truth !== null && truth !== undefined;
    if (!isCopied || !isThere) return isCopied === isThere;
    return atOnce(this.#options.equals(copy, truth));
  }

  /** Whether another load is allowed in this second. */
  #admit(): boolean {
    const now = performance.now();
    const admitted = this.#admitted;
    while (admitted.length > 0 && admitted[0]! <= now - SECOND_MS) {
      admitted.shift();
    }
    if (admitted.length >= this.#options.maxPerSecond) return false;
    admitted.push(now);
    return true;
  }

  #failed(cause: unknown): void {
    if (this.#closed) return;
    const source = `The audit of ${this.cache.entityType}`;
    this.context.counts.errors++;
    this.context.errors.report(
      new CallbackFailedError(
        source,
        'could not compare a copy',
        'It continues with the next one.',
        cause,
      ),
      source,
    );
  }
}
