import type { CacheInvalidationError } from '../../errors/index.js';
import {
  compareOffsets,
  isOffset,
  type InvalidationMessage,
} from '../../message/index.js';
import type { PastFence } from '../../stream/index.js';
import type { L2Store } from '../../transport/index.js';
import { NO_DEPENDENCIES } from '../dependencies.js';
import type { ResolvedL2Options } from './l2.options.js';
import type { PositionSource } from '../position-source.js';
import { ForeignMark } from './foreign-mark.js';
import { L2Commands } from './l2-commands.js';
import { formatEntry, parseEntry, type ContentSigner } from './l2-entry.js';
import { L2Sweeper } from './l2-sweeper.js';
import { L2Values, type EncodedValue } from './l2-values.js';
import { LoadClaims } from './load-claims.js';
import { isForeign, offsetAfter } from './message-offsets.js';

/** Later than any offset: an entry of any offset is dropped. */
const BEYOND_ALL = `${'9'.repeat(41)}-0`;

/** The result of a value that is not stored. @internal */
export const NOT_STORED = Promise.resolve(false);

/** @internal */
export interface L2Stats {
  readonly l2Hits: number;
  readonly l2Refused: number;
  readonly l2Errors: number;
  readonly l2Unshared: number;
}

interface Found<V> {
  readonly value: V;
  readonly fence: PastFence;
  readonly dependencies: readonly string[];
}

/**
 * Entries that instances of a service share in Redis. Each entry carries the
 * offset at which its load began: an instance that has been at that offset knows
 * which invalidations it has applied since, and refuses the entry if one of them
 * affects its key, whether or not anybody has deleted it. An instance that has
 * never been at that offset cannot tell, and refuses it as well. So the tier relies
 * on no clock, and on no order of offsets.
 *
 * @internal
 */
export class L2Tier<V> {
  /** Resolves when it is connected, and messages from before its start are known. */
  readonly ready: Promise<void>;
  readonly #commands: L2Commands;
  readonly #values: L2Values<V>;
  readonly #sweeper: L2Sweeper;
  readonly #foreignMark: ForeignMark;
  readonly #claims: LoadClaims | null;
  #hits = 0;
  #refused = 0;
  #isDisabled = false;
  /** Whether messages recalled from the journal are complete: nobody published without it. */
  #trustsRecalled = false;

  /**
   * @param prefix of all names in Redis
   * @param family the beginning of its cache keys: `user:`
   */
  constructor(
    private readonly prefix: string,
    family: string,
    store: L2Store,
    options: ResolvedL2Options<V>,
    private readonly source: PositionSource,
    /** Left by instances that received a foreign message before this tier existed there. */
    private readonly serviceMark: Pick<ForeignMark, 'isLeft'>,
    report: (error: CacheInvalidationError) => void,
    /** Name of the cache, for the log. */
    name = family,
    /** `null` where entries are not signed. */
    private readonly signer: ContentSigner | null = null,
  ) {
    this.#commands = new L2Commands(
      prefix,
      store,
      options.timeout,
      () => this.ready,
      report,
    );
    this.#values = new L2Values(name, options, report, (error) =>
      this.#commands.failed(error),
    );
    this.#sweeper = new L2Sweeper(prefix, family, store);
    this.#foreignMark = new ForeignMark({
      store: () => store,
      key: `${prefix}~foreign:${family}`,
      ttl: () => options.ttl,
      onWriting: (writing) => this.#commands.track(writing),
    });
    this.#claims = options.singleFlight
      ? new LoadClaims(this.#commands, source, (fence) => this.#trusts(fence))
      : null;
    source.trackPositions();
    if (source.foreign) this.#foreignMark.leave();
    this.ready = Promise.all([
      store.opened.then(() => this.#recall()),
      options.serializer.ready?.catch(report),
    ]).then(() => undefined);
  }

  get stats(): L2Stats {
    return {
      l2Hits: this.#hits,
      l2Refused: this.#refused,
      l2Errors: this.#commands.errors,
      l2Unshared: this.#values.unshared,
    };
  }

  /** Claims of loads, by the option `singleFlight`; `null` where each load is its own. */
  get claims(): LoadClaims | null {
    return this.#isDisabled ? null : this.#claims;
  }

  /** Another cache has the same entries: neither reads or stores any from now on. */
  disable(): void {
    this.#isDisabled = true;
  }

  /** @returns `null` if there is no entry, or none that is known to be right */
  async get(key: string): Promise<Found<V> | null> {
    if (this.#isDisabled) return null;
    const bytes = await this.#commands.get(key);
    if (bytes === null) return null;
    const entry = parseEntry(bytes, this.prefix + key, this.signer);
    if (entry === null) {
      this.#refused++;
      this.#commands.drop(key, BEYOND_ALL);
      return null;
    }
    const { offset, dependencies } = entry;
    try {
      const fence = this.source.fenceAt(offset);
      const isRight =
        fence !== null &&
        this.#trusts(fence) &&
        fence.holds(key, ...dependencies);
      if (isRight) {
        const value = this.#values.decode(entry);
        this.#hits++;
        return { value, fence, dependencies };
      }
      this.#refused++;
      if (fence === null) void this.#dropUnlessReal(key, offset);
    } catch (error) {
      this.#commands.failed(error as Error);
    }
    return null;
  }

  /**
   * @param offset position of this instance when the load began
   * @param ttl in milliseconds
   * @returns whether other instances find it, or a later entry
   * @throws InvalidationSerializationError if the option `strict` is set
   */
  put(
    key: string,
    offset: string,
    value: V,
    ttl: number,
    dependencies: readonly string[] = NO_DEPENDENCIES,
  ): Promise<boolean> {
    if (this.#isDisabled || this.#commands.isFull) return NOT_STORED;
    const encoded = this.encode(value);
    if (encoded === null) return NOT_STORED;
    const entry = formatEntry(
      { offset, dependencies, ...encoded },
      this.prefix + key,
      this.signer,
    );
    this.#foreignMark.renew();
    const confirmed = this.source.isInJournal(offset);
    return this.#commands.put(key, offset, entry, ttl, confirmed);
  }

  /**
   * @returns `null` for a value that cannot be shared
   * @throws InvalidationSerializationError in its place if the option `strict` is set
   */
  encode(value: V): EncodedValue | null {
    return this.#values.encode(value);
  }

  /** @param keys cache keys of this cache that the message names */
  drop(keys: readonly string[], message: InvalidationMessage): void {
    if (isForeign(message)) this.#foreignMark.leave();
    const before = this.#limitOf(message);
    if (before === null) return;
    for (const key of keys) this.#commands.drop(key, before);
  }

  /** @param pattern of the cache keys that the message affects */
  sweep(pattern: string, message: InvalidationMessage): void {
    if (isForeign(message)) this.#foreignMark.leave();
    const before = this.#limitOf(message);
    // A message is widened for this instance only: others may use the entries.
    if (before === null || message.widened !== null) return;
    this.#sweeper.add(pattern, before, before === message.offset);
  }

  close(): void {
    this.#foreignMark.close();
    this.#sweeper.close();
  }

  /** Reads messages from before this instance started, if they are all in the journal. */
  async #recall(): Promise<void> {
    try {
      if (await this.#foreignMark.isLeft()) return;
      if (await this.serviceMark.isLeft()) return;
      await this.source.recall();
      this.#trustsRecalled = true;
    } catch (error) {
      this.#commands.failed(error as Error);
    }
  }

  #trusts(fence: PastFence): boolean {
    return !fence.recalled || (this.#trustsRecalled && !this.source.foreign);
  }

  /** Entries loaded before this offset are affected by the message. */
  #limitOf({ offset }: InvalidationMessage): string | null {
    if (isOffset(offset)) return offset;
    const { position } = this.source;
    return position === null ? null : offsetAfter(position);
  }

  /**
   * Drops an entry with an offset beyond the journal's end: no load began there,
   * and no right entry would replace it.
   */
  async #dropUnlessReal(key: string, offset: string): Promise<void> {
    const { position } = this.source;
    if (position === null || compareOffsets(offset, position) <= 0) return;
    if (!(await this.source.isInJournal(offset))) {
      this.#commands.drop(key, BEYOND_ALL);
    }
  }
}
