import { settlesWithin } from '../../common/index.js';
import {
  InvalidationRedisError,
  type CacheInvalidationError,
} from '../../errors/index.js';
import { cacheKeysStart, type EntityType } from '../../message/index.js';
import {
  EntrySigner,
  KeyRing,
  type SigningOptions,
} from '../../signing/index.js';
import type { ErrorReporter } from '../../stream/index.js';
import type { InvalidationTransport } from '../../transport/index.js';
import type { PositionSource } from '../position-source.js';
import { ForeignMark } from './foreign-mark.js';
import { serviceMarkKeyOf, tierPrefixOf } from './l2-names.js';
import {
  journalMissing,
  journalMissingWarning,
  keyMissing,
  keyMissingWarning,
  prefixTaken,
  twoOwnersWarning,
} from './l2-refusals.js';
import { L2Stores } from './l2-stores.js';
import { L2Tier } from './l2-tier.js';
import type { ResolvedL2Options } from './l2.options.js';

/**
 * How long the mark of a service lasts at least, in milliseconds: it covers entries
 * of tiers that this instance has not created yet.
 */
const MARK_MS = 86_400_000;

/** The module's options, as far as second tiers need them. @internal */
export interface L2TiersOptions {
  readonly enabled: boolean;
  readonly serviceName: string;
  readonly channel: string;
  /** How long the start of the application waits for Redis, in milliseconds. */
  readonly startupTimeout: number;
  readonly signing?: SigningOptions | undefined;
}

/**
 * The second tiers of an application, each under a name of its own in Redis.
 *
 * @internal
 */
export class L2Tiers {
  /** Tiers, by the beginning of their entries' names in Redis. */
  readonly #tiers = new Map<
    string,
    Pick<L2Tier<never>, 'ready' | 'close' | 'disable'>
  >();
  readonly #stores: L2Stores;
  readonly #serviceMark: ForeignMark;
  /** `null` where nothing is signed. */
  readonly #ring: KeyRing | null;
  /** The longest time that a tier keeps its entries, in milliseconds. */
  #longestTtl = MARK_MS;
  #isStopped = false;

  constructor(
    private readonly options: L2TiersOptions,
    private readonly transport: InvalidationTransport,
    private readonly source: PositionSource,
    private readonly errors: ErrorReporter,
  ) {
    this.#stores = new L2Stores(transport, errors);
    this.#ring = KeyRing.of(options.signing);
    this.#serviceMark = new ForeignMark({
      store: () => this.#stores.of(undefined),
      key: serviceMarkKeyOf(options.serviceName, options.channel),
      ttl: () => this.#longestTtl,
      // Each tier has a mark of its own, and reports if it cannot be left.
      onWriting: (writing) =>
        void writing
          .catch(() => undefined)
          .then(() => this.#closeStoreWithoutTiers()),
    });
    if (!options.enabled || !transport.journaled) return;
    source.whenForeign(() => this.#serviceMark.leave());
  }

  /**
   * Creates the second tier of a cache.
   *
   * @param owner of the cache, such as class and method
   * @returns `null` while the module is off or stopped
   * @throws InvalidationConfigurationError without the journal, if another cache has
   * the same names in Redis, and if it encrypts without a key
   */
  create<V>(
    entityType: EntityType,
    options: ResolvedL2Options<V>,
    owner: string | undefined,
  ): L2Tier<V> | null {
    if (!this.#isOn) return null;
    if (!this.transport.journaled) throw journalMissing();
    if (options.encrypt && this.#ring === null) throw keyMissing();
    const prefix = this.#prefixOf(options, owner);
    const family = cacheKeysStart(entityType);
    if (this.#tiers.has(prefix + family)) {
      throw prefixTaken(entityType, prefix);
    }
    const store = this.#stores.of(options.connection);
    const name = owner ?? entityType;
    this.#longestTtl = Math.max(this.#longestTtl, options.ttl);
    const tier = new L2Tier(
      prefix,
      family,
      store,
      options,
      this.source,
      this.#serviceMark,
      (error) => this.#report(error, name),
      name,
      this.#ring &&
        new EntrySigner(
          this.#ring,
          `${store.keySpace}\n${prefix}`,
          options.encrypt,
        ),
    );
    this.#tiers.set(prefix + family, tier);
    return tier;
  }

  /**
   * Creates the second tier of a decorated method's cache; if it cannot have one,
   * a warning is logged once.
   *
   * @returns `null` if it cannot have one
   */
  createIfPossible<V>(
    entityType: EntityType,
    options: ResolvedL2Options<V>,
    owner: string,
  ): L2Tier<V> | null {
    return this.#isOn && this.#canShare(entityType, options, owner)
      ? this.create(entityType, options, owner)
      : null;
  }

  /** Closes one tier; another cache may have its names then. */
  close(closed: Pick<L2Tier<never>, 'close'>): void {
    for (const [name, tier] of this.#tiers) {
      if (tier === closed) this.#tiers.delete(name);
    }
    closed.close();
  }

  /**
   * Connects, and waits until all tiers are ready, but never longer than
   * `startupTimeout`.
   */
  async start(): Promise<void> {
    this.#stores.open();
    if (this.#tiers.size === 0) return;
    const ready = [...this.#tiers.values()].map((tier) => tier.ready);
    await settlesWithin(this.options.startupTimeout, Promise.all(ready));
  }

  stop(): void {
    // Caches may still be created; their connections would stay open.
    this.#isStopped = true;
    this.#serviceMark.close();
    for (const tier of this.#tiers.values()) tier.close();
    this.#stores.close();
  }

  get #isOn(): boolean {
    return this.options.enabled && !this.#isStopped;
  }

  #canShare(
    entityType: EntityType,
    options: Pick<ResolvedL2Options<never>, 'keyPrefix' | 'encrypt'>,
    owner: string,
  ): boolean {
    if (!this.transport.journaled) {
      this.#warn(owner, journalMissingWarning(owner));
      return false;
    }
    if (options.encrypt && this.#ring === null) {
      this.#warn(owner, keyMissingWarning(owner));
      return false;
    }
    const family = cacheKeysStart(entityType);
    const other = this.#tiers.get(this.#prefixOf(options, owner) + family);
    if (other === undefined || options.keyPrefix !== undefined) return true;
    other.disable();
    this.#warn(owner, twoOwnersWarning(owner));
    return false;
  }

  #warn(owner: string, text: string): void {
    this.errors.log('warn', text, `${owner} l2`);
  }

  /** Failures of Redis and values that are not shared are throttled separately. */
  #report(error: CacheInvalidationError, name: string): void {
    const isRedis = error instanceof InvalidationRedisError;
    this.errors.report(error, isRedis ? 'l2' : `${name} l2 values`);
  }

  #prefixOf(
    { keyPrefix }: Pick<ResolvedL2Options<never>, 'keyPrefix'>,
    owner: string | undefined,
  ): string {
    return keyPrefix ?? tierPrefixOf(this.options.serviceName, owner);
  }

  /** An application without a second tier keeps no connection for its mark. */
  #closeStoreWithoutTiers(): void {
    if (this.#tiers.size > 0) return;
    this.#stores.closeOne(undefined);
  }
}
