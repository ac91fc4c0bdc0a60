import { Injectable } from '@nestjs/common';
import {
  describeCause,
  InvalidationConfigurationError,
  InvalidationRedisError,
  type CacheInvalidationError,
} from '../errors/index.js';
import { buildCacheKey, type EntityType } from '../message/index.js';
import type { ErrorReporter, InvalidationStream } from '../stream/index.js';
import type {
  InvalidationTransport,
  L2Store,
  RedisConnection,
} from '../transport/index.js';
import { Dependencies } from './dependencies.js';
import { ForeignMark } from './foreign.mark.js';
import { L2Tier, type L2Source } from './l2.tier.js';
import {
  NearCache,
  type CacheSource,
  type NearCacheStats,
} from './near.cache.js';
import { NormalizingNearCache } from './normalizing-near.cache.js';
import { NearCacheList } from './near-cache.list.js';
import {
  resolveNearCache,
  type NearCacheOptions,
  type ResolvedL2Options,
  type ResolvedNearCacheOptions,
} from './near-cache.options.js';

/**
 * How long the mark of a service speaks of entries at least, in milliseconds:
 * those of tiers that this instance has not made yet.
 */
const MARK_MS = 86_400_000;

/** @internal */
export interface NearCacheContext {
  readonly options: {
    readonly enabled: boolean;
    readonly serviceName: string;
    readonly channel: string;
    /** How long the start of the application waits for Redis, in milliseconds. */
    readonly startupTimeout: number;
  };
  readonly transport: InvalidationTransport;
  readonly stream: InvalidationStream;
  readonly source: CacheSource &
    L2Source & {
      /** Calls it at every message of a publisher without a journal. */
      whenForeign(listener: () => void): void;
    };
  readonly errors: ErrorReporter;
}

/**
 * Makes read-through caches that invalidations keep right.
 *
 * @example
 * ```ts
 * constructor(caches: NearCacheFactory) {
 *   this.users = caches.create<User>('User', { ttl: 60_000 });
 * }
 * find(id: string) {
 *   return this.users.get(id, () => this.repository.findById(id));
 * }
 * ```
 * @publicApi
 */
@Injectable()
export class NearCacheFactory {
  readonly #l2 = new Map<
    string,
    Pick<L2Tier<never>, 'ready' | 'close' | 'disable'>
  >();
  readonly #stores = new Map<RedisConnection | undefined, L2Store>();
  readonly #caches: NearCacheList;
  readonly #serviceMark: ForeignMark;
  /** The longest time that a tier keeps its entries. */
  #longestTtl = MARK_MS;
  #started = false;
  #stopped = false;

  /** @internal */
  constructor(private readonly context: NearCacheContext) {
    this.#caches = new NearCacheList(context.stream);
    const [service, channel] = [
      context.options.serviceName,
      context.options.channel,
    ].map(encodeURIComponent);
    this.#serviceMark = new ForeignMark({
      store: () => this.#storeOf(undefined),
      key: `near:${service}~foreign:${channel}`,
      ttl: () => this.#longestTtl,
      // Each tier has a mark of its own, and says if it cannot be left.
      onWriting: (writing) =>
        void writing
          .catch(() => undefined)
          .then(() => this.#closeStoreWithoutTiers()),
    });
    if (!context.options.enabled || !context.transport.journaled) return;
    context.source.whenForeign(() => this.#serviceMark.leave());
  }

  /**
   * A cache of the entities of one type, for as long as the application runs, or
   * until `close()`: make it once, not for each request.
   *
   * @param owner whose it is, such as class and method: it sets its entries in
   * Redis apart from those of other caches of these entities
   * @throws InvalidationConfigurationError that names every bad option
   * @throws InvalidMessageError for an impossible type
   */
  create<V>(
    entityType: EntityType,
    options: NearCacheOptions<V> = {},
    owner?: string,
  ): NearCache<V> {
    const resolved = resolveNearCache(options);
    const l2 = this.#usesL2(resolved)
      ? this.#createL2(entityType, resolved.l2!, owner)
      : null;
    return this.#create(entityType, resolved, l2, owner ?? entityType);
  }

  /**
   * The cache of a decorated method, which works without its second tier where
   * that cannot be had.
   *
   * @internal
   */
  createFor<V>(
    entityType: EntityType,
    options: NearCacheOptions<V>,
    owner: string,
  ): NearCache<V> {
    const resolved = resolveNearCache(options);
    const l2 =
      this.#usesL2(resolved) && this.#canShare(entityType, resolved.l2!, owner)
        ? this.#createL2(entityType, resolved.l2!, owner)
        : null;
    return this.#create(entityType, resolved, l2, owner);
  }

  #usesL2({ l2 }: { readonly l2: unknown }): boolean {
    return l2 !== null && this.context.options.enabled && !this.#stopped;
  }

  #create<V>(
    entityType: EntityType,
    resolved: ResolvedNearCacheOptions<V>,
    l2: L2Tier<V> | null,
    name: string,
  ): NearCache<V> {
    const { stream, source } = this.context;
    const close = (): void => {
      this.#caches.remove(cache as never);
      if (l2 !== null) this.#closeTier(l2 as never);
    };
    const form = stream.ids?.formOf(entityType) ?? null;
    const dependencies = this.#dependenciesOf(resolved, name);
    const parts = [
      entityType,
      resolved,
      source,
      l2,
      close,
      dependencies,
    ] as const;
    const cache =
      form === null
        ? new NearCache<V>(...parts)
        : new NormalizingNearCache<V>(...parts).useForm(form);
    this.#caches.add(name, cache, l2 !== null);
    return cache;
  }

  #dependenciesOf<V>(
    { dependsOn }: ResolvedNearCacheOptions<V>,
    name: string,
  ): Dependencies<V> | null {
    if (dependsOn === null) return null;
    const { stream, errors } = this.context;
    return new Dependencies(name, dependsOn, stream.ids, (error) =>
      errors.report(error, `${name} dependsOn`),
    );
  }

  /** Its prefix is free for another cache. */
  #closeTier(closed: L2Tier<never>): void {
    for (const [name, tier] of this.#l2) {
      if (tier === closed) this.#l2.delete(name);
    }
    closed.close();
  }

  /**
   * What each cache did, by its name: its entity type, or for `@Cached` class and
   * method; a second one of that name is `User-2`, and from the tenth on they are
   * counted together as `User-more`.
   */
  stats(): Map<string, NearCacheStats> {
    return this.#caches.stats();
  }

  /** Of the caches so far, each once. @internal */
  entityTypes(): EntityType[] {
    return this.#caches.entityTypes();
  }

  /**
   * Connects; waits until what Redis has can be used, but never longer than
   * `startupTimeout`.
   *
   * @internal
   */
  async start(): Promise<void> {
    this.#started = true;
    for (const store of this.#stores.values()) store.open();
    if (this.#l2.size === 0) return;
    const ready = [...this.#l2.values()].map((tier) => tier.ready);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, this.context.options.startupTimeout);
    });
    await Promise.race([Promise.all(ready), late]);
    clearTimeout(timer);
  }

  /** @internal */
  stop(): void {
    // A method may be called for the first time now: its connection would stay.
    this.#stopped = true;
    this.#caches.close();
    this.#serviceMark.close();
    for (const tier of this.#l2.values()) tier.close();
    for (const store of this.#stores.values()) store.close();
  }

  /** Says once what keeps the entries of a decorated method from being shared. */
  #canShare(
    entityType: EntityType,
    options: Pick<ResolvedL2Options<never>, 'keyPrefix'>,
    owner: string,
  ): boolean {
    const { errors, transport } = this.context;
    if (!transport.journaled) {
      errors.log(
        'warn',
        `${owner} shares nothing in Redis (option l2), since there is no journal: give the option journal.`,
        `${owner} l2`,
      );
      return false;
    }
    const family = keyFamilyOf(entityType);
    const other = this.#l2.get(this.#prefixOf(options, owner) + family);
    if (other === undefined || options.keyPrefix !== undefined) return true;
    other.disable();
    errors.log(
      'warn',
      `${owner} of two classes of one name cannot be told apart in Redis, so neither shares anything there: give each an l2.keyPrefix of its own.`,
      `${owner} l2`,
    );
    return false;
  }

  /** Whatever their names are, two services or owners never share a prefix. */
  #prefixOf(
    { keyPrefix }: Pick<ResolvedL2Options<never>, 'keyPrefix'>,
    owner: string | undefined,
  ): string {
    const service = encodeURIComponent(this.context.options.serviceName);
    const whose = owner === undefined ? '' : `#${encodeURIComponent(owner)}`;
    return keyPrefix ?? `near:${service}${whose}:`;
  }

  #createL2<V>(
    entityType: EntityType,
    options: ResolvedL2Options<V>,
    owner: string | undefined,
  ): L2Tier<V> {
    const { transport, source, errors } = this.context;
    const prefix = this.#prefixOf(options, owner);
    if (!transport.journaled) {
      throw misuse('l2', 'it takes the journal.', 'Give the option `journal`.');
    }
    const family = keyFamilyOf(entityType);
    if (this.#l2.has(prefix + family)) {
      throw misuse(
        'l2.keyPrefix',
        `another cache of ${entityType} has "${prefix}".`,
        'Give each cache one of its own.',
      );
    }
    const store = this.#storeOf(options.connection);
    const name = owner ?? entityType;
    // A value that is not shared and a Redis that is away are two sources: neither hides the other.
    const report = (error: CacheInvalidationError): void =>
      errors.report(
        error,
        error instanceof InvalidationRedisError ? 'l2' : `${name} l2 values`,
      );
    this.#longestTtl = Math.max(this.#longestTtl, options.ttl);
    const tier = new L2Tier(
      prefix,
      family,
      store,
      options,
      source,
      this.#serviceMark,
      report,
      name,
    );
    this.#l2.set(prefix + family, tier);
    return tier;
  }

  /** An application without a second tier keeps no connection for its mark. */
  #closeStoreWithoutTiers(): void {
    if (this.#l2.size > 0) return;
    this.#stores.get(undefined)?.close();
    this.#stores.delete(undefined);
  }

  #storeOf(connection: RedisConnection | undefined): L2Store {
    const known = this.#stores.get(connection);
    if (known !== undefined) return known;
    const { transport, errors } = this.context;
    const store = transport.l2Store({
      connection,
      onError: (cause) =>
        errors.report(
          new InvalidationRedisError(
            `Redis, of near caches: ${describeCause(cause)}.`,
            'Trying again; until then they load what they do not have.',
            cause,
          ),
          'l2',
        ),
    });
    this.#stores.set(connection, store);
    if (this.#started) store.open();
    return store;
  }
}

function keyFamilyOf(entityType: EntityType): string {
  return buildCacheKey(entityType, '-').slice(0, -1);
}

function misuse(
  field: string,
  problem: string,
  fix: string,
): InvalidationConfigurationError {
  return new InvalidationConfigurationError('A near cache cannot be made:', [
    { field, problem, fix },
  ]);
}
