import { Injectable } from '@nestjs/common';
import {
  describeCause,
  InvalidationConfigurationError,
  InvalidationRedisError,
} from '../errors/index.js';
import { buildCacheKey, type EntityType } from '../message/index.js';
import type { ErrorReporter, InvalidationStream } from '../stream/index.js';
import type {
  InvalidationTransport,
  L2Store,
  RedisConnection,
} from '../transport/index.js';
import { L2Tier, type L2Source } from './l2.tier.js';
import {
  NearCache,
  type CacheSource,
  type NearCacheStats,
} from './near.cache.js';
import { NormalizingNearCache } from './normalizing-near.cache.js';
import {
  resolveNearCache,
  type NearCacheOptions,
  type ResolvedL2Options,
} from './near-cache.options.js';

/** @internal */
export interface NearCacheContext {
  readonly options: {
    readonly enabled: boolean;
    readonly serviceName: string;
    /** How long the start of the application waits for Redis, in milliseconds. */
    readonly startupTimeout: number;
  };
  readonly transport: InvalidationTransport;
  readonly stream: InvalidationStream;
  readonly source: CacheSource & L2Source;
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
  readonly #l2 = new Map<string, Pick<L2Tier<never>, 'ready' | 'close'>>();
  readonly #stores = new Map<RedisConnection | undefined, L2Store>();
  readonly #caches = new Map<string, NearCache<never>>();
  #started = false;
  #stopped = false;

  /** @internal */
  constructor(private readonly context: NearCacheContext) {}

  /**
   * A cache of the entities of one type, for as long as the application runs: make
   * it once, not for each request.
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
    const { stream, source } = this.context;
    const resolved = resolveNearCache(options);
    const l2 =
      resolved.l2 === null || !this.context.options.enabled || this.#stopped
        ? null
        : this.#createL2(entityType, resolved.l2, owner);
    const form = stream.ids?.formOf(entityType) ?? null;
    const cache =
      form === null
        ? new NearCache<V>(entityType, resolved, source, l2)
        : new NormalizingNearCache<V>(entityType, resolved, source, l2).useForm(
            form,
          );
    stream.evict('A near cache', (message) => cache.apply(message));
    this.#caches.set(this.#nameOf(owner ?? entityType), cache as never);
    return cache;
  }

  /**
   * What each cache did, by its name: its entity type, or for `@Cached` class and
   * method; a second one of that name is `User-2`.
   */
  stats(): Map<string, NearCacheStats> {
    return new Map(
      [...this.#caches].map(([name, cache]) => [name, cache.stats]),
    );
  }

  /** Of the caches so far, each once. @internal */
  entityTypes(): EntityType[] {
    const caches = [...this.#caches.values()];
    return [...new Set(caches.map(({ entityType }) => entityType))];
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
    for (const cache of this.#caches.values()) cache.close();
    for (const tier of this.#l2.values()) tier.close();
    for (const store of this.#stores.values()) store.close();
  }

  #nameOf(name: string): string {
    if (!this.#caches.has(name)) return name;
    let number = 2;
    while (this.#caches.has(`${name}-${number}`)) number++;
    return `${name}-${number}`;
  }

  #createL2<V>(
    entityType: EntityType,
    options: ResolvedL2Options<V>,
    owner: string | undefined,
  ): L2Tier<V> {
    const { transport, source, errors, options: module } = this.context;
    // Whatever their names are, two services or owners never share a prefix.
    const service = encodeURIComponent(module.serviceName);
    const whose = owner === undefined ? '' : `#${encodeURIComponent(owner)}`;
    const prefix = options.keyPrefix ?? `near:${service}${whose}:`;
    if (!transport.journaled) {
      throw misuse('l2', 'it takes the journal.', 'Give the option `journal`.');
    }
    const family = buildCacheKey(entityType, '-').slice(0, -1);
    if (this.#l2.has(prefix + family)) {
      throw misuse(
        'l2.keyPrefix',
        `another cache of ${entityType} has "${prefix}".`,
        'Give each cache one of its own.',
      );
    }
    const store = this.#storeOf(options.connection);
    const report = (error: InvalidationRedisError): void =>
      errors.report(error, 'l2');
    const tier = new L2Tier(prefix, family, store, options, source, report);
    this.#l2.set(prefix + family, tier);
    return tier;
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

function misuse(
  field: string,
  problem: string,
  fix: string,
): InvalidationConfigurationError {
  return new InvalidationConfigurationError('A near cache cannot be made:', [
    { field, problem, fix },
  ]);
}
