import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../../cache-invalidation.constants.js';
import { CallbackFailedError } from '../../errors/index.js';
import { cacheKeysStart, type EntityType } from '../../message/index.js';
import {
  ErrorReporter,
  InvalidationStream,
  unheard,
} from '../../stream/index.js';
import { ReplicaMarks, Replicas } from '../../replica/index.js';
import { InvalidationTransport } from '../../transport/index.js';
import { Dependencies } from '../dependencies.js';
import { PositionSource } from '../position-source.js';
import { StalenessBound } from '../staleness-bound.js';
import type { L2Tier } from '../shared/l2-tier.js';
import { L2Tiers, type L2TiersOptions } from '../shared/l2-tiers.js';
import { LoadGate } from './load-gate.js';
import { NearCacheList } from './near-cache-list.js';
import type { NearCacheStats } from './near-cache-stats.js';
import {
  resolveNearCache,
  type NearCacheOptions,
  type ResolvedNearCacheOptions,
} from './near-cache.options.js';
import { NearCache } from './near-cache.js';
import { NormalizingNearCache } from './normalizing-near-cache.js';

/**
 * Creates read-through caches that invalidations keep right.
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
  readonly #tiers: L2Tiers;
  readonly #caches: NearCacheList;
  readonly #replicas: Replicas;

  /** @internal */
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) options: L2TiersOptions,
    transport: InvalidationTransport,
    private readonly stream: InvalidationStream,
    private readonly source: PositionSource,
    private readonly errors: ErrorReporter,
  ) {
    this.#tiers = new L2Tiers(options, transport, source, errors);
    this.#caches = new NearCacheList(stream);
    this.#replicas = new Replicas(errors);
  }

  /**
   * A cache of the entities of one type, for as long as the application runs, or
   * until `close()`: create it once, not for each request.
   *
   * @param owner such as class and method: it sets the cache's entries in Redis
   * apart from those of other caches of these entities
   * @throws InvalidationConfigurationError that names every bad option, and with
   * `role: 'publisher'`
   * @throws InvalidMessageError for an impossible type
   */
  create<V>(
    entityType: EntityType,
    options: NearCacheOptions<V> = {},
    owner?: string,
  ): NearCache<V> {
    if (!this.stream.receives) throw unheard(`a near cache of ${entityType}`);
    const resolved = resolveNearCache(options);
    const l2 =
      resolved.l2 && this.#tiers.create(entityType, resolved.l2, owner);
    return this.#create(entityType, resolved, l2, owner ?? entityType);
  }

  /**
   * The cache of a decorated method, which works without its second tier if it
   * cannot have one. `null` in an application that only publishes: the method keeps
   * nothing there.
   *
   * @internal
   */
  createFor<V>(
    entityType: EntityType,
    options: NearCacheOptions<V>,
    owner: string,
  ): NearCache<V> | null {
    if (!this.stream.receives) return null;
    const resolved = resolveNearCache(options);
    const l2 =
      resolved.l2 &&
      this.#tiers.createIfPossible(entityType, resolved.l2, owner);
    return this.#create(entityType, resolved, l2, owner);
  }

  /**
   * Counts of each cache, by its name: its entity type, or for `@Cached` class and
   * method; a second one of that name is `User-2`, and from the tenth on they are
   * counted together as `User-more`.
   */
  stats(): Map<string, NearCacheStats> {
    return this.#caches.stats();
  }

  /** Entity types of the caches so far, each once. @internal */
  entityTypes(): EntityType[] {
    return this.#caches.entityTypes();
  }

  /**
   * Connects the second tiers; waits until they are ready, but never longer than
   * `startupTimeout`.
   *
   * @internal
   */
  start(): Promise<void> {
    return this.#tiers.start();
  }

  /** @internal */
  stop(): void {
    this.#caches.close();
    this.#tiers.stop();
    this.#replicas.stop();
  }

  #create<V>(
    entityType: EntityType,
    resolved: ResolvedNearCacheOptions<V>,
    l2: L2Tier<V> | null,
    name: string,
  ): NearCache<V> {
    const close = (): void => {
      this.#caches.remove(cache as never);
      if (l2 !== null) this.#tiers.close(l2);
    };
    const marks = this.#marksOf(entityType, resolved);
    const parts = [
      entityType,
      resolved,
      resolved.maxStaleness === 0
        ? this.source
        : new StalenessBound(this.source, resolved, name, entityType),
      l2,
      close,
      this.#dependenciesOf(resolved, name),
      resolved.load && new LoadGate(name, resolved.load),
      (cause: unknown) => this.#reportRefresh(name, cause),
      marks,
    ] as const;
    const form = this.stream.ids?.formOf(entityType) ?? null;
    const cache =
      form === null
        ? new NearCache<V>(...parts)
        : new NormalizingNearCache<V>(...parts).useForm(form);
    this.#caches.add(name, cache, l2 !== null, marks);
    return cache;
  }

  #marksOf<V>(
    entityType: EntityType,
    { replica, dependsOn }: ResolvedNearCacheOptions<V>,
  ): ReplicaMarks | null {
    if (replica === null) return null;
    const progress = this.#replicas.of(replica);
    const family = cacheKeysStart(entityType);
    return new ReplicaMarks(progress, family, dependsOn !== null, () =>
      this.#replicas.leave(replica),
    );
  }

  #reportRefresh(name: string, cause: unknown): void {
    const what =
      'could not refresh a value (option refreshAfter), and serves the old one until its ttl ends';
    const error = new CallbackFailedError(name, what, '', cause);
    this.errors.report(error, `${name} refresh`);
  }

  #dependenciesOf<V>(
    { dependsOn }: ResolvedNearCacheOptions<V>,
    name: string,
  ): Dependencies<V> | null {
    if (dependsOn === null) return null;
    return new Dependencies(name, dependsOn, this.stream.ids, (error) =>
      this.errors.report(error, `${name} dependsOn`),
    );
  }
}
