import type { EntityType } from '../../message/index.js';
import type { ReplicaMarks } from '../../replica/index.js';
import type { InvalidationStream } from '../../stream/index.js';
import type { NearCache } from './near-cache.js';
import { sumOf, type NearCacheStats } from './near-cache-stats.js';

/** Caches of one name that have a label of their own in metrics. */
const NUMBERED = 9;
/** Names with labels of their own; entity types may be made up at run time. */
const NAMES = 1_000;

interface Listed {
  readonly name: string;
  /** Weak: a cache without a second tier ends with its owner, such as a request. */
  readonly cache: WeakRef<NearCache<never>>;
  readonly unsubscribe: () => void;
  readonly marks: Pick<ReplicaMarks, 'end'> | null;
  /** The cache itself if it must stay: Redis holds entries of it. */
  readonly pinned: NearCache<never> | null;
}

/**
 * The near caches of an application, by their names. A cache that nobody refers to
 * cannot be read, so it is not kept alive for the sake of evictions.
 *
 * @internal
 */
export class NearCacheList {
  readonly #listed = new Map<string, Set<Listed>>();
  readonly #ofCache = new WeakMap<NearCache<never>, Listed>();
  readonly #collected = new FinalizationRegistry<Listed>((listed) =>
    this.#drop(listed),
  );

  #isClosed = false;

  constructor(private readonly stream: InvalidationStream) {}

  /**
   * @param isPinned whether it stays although nobody refers to it
   * @param marks ended with the cache, to which they must not refer
   */
  add<V>(
    name: string,
    cache: NearCache<V>,
    isPinned: boolean,
    marks: Pick<ReplicaMarks, 'end'> | null = null,
  ): void {
    const reference = new WeakRef(cache);
    const unsubscribe = this.stream.addCache(
      'A near cache',
      (message) => reference.deref()?.apply(message),
      cache.handledTypes,
    );
    const listed: Listed = {
      name: this.#labelOf(name),
      cache: reference as never,
      unsubscribe,
      marks,
      pinned: isPinned ? (cache as never) : null,
    };
    const same = this.#listed.get(listed.name) ?? new Set();
    this.#listed.set(listed.name, same.add(listed));
    this.#ofCache.set(cache as never, listed);
    this.#collected.register(cache, listed, listed);
  }

  remove(cache: NearCache<never>): void {
    const listed = this.#ofCache.get(cache);
    // After the shutdown their counts can still be read.
    if (listed === undefined || this.#isClosed) return;
    this.#collected.unregister(listed);
    this.#drop(listed);
  }

  stats(): Map<string, NearCacheStats> {
    const all = new Map<string, NearCacheStats>();
    for (const [name, same] of this.#listed) {
      const stats = [...same].flatMap(
        ({ cache }) => cache.deref()?.stats ?? [],
      );
      if (stats.length > 0) all.set(name, stats.reduce(sumOf));
    }
    return all;
  }

  /** Entity types of all caches, each once. */
  entityTypes(): EntityType[] {
    const caches = [...this.#listed.values()].flatMap((same) => [...same]);
    return [
      ...new Set(
        caches.flatMap(({ cache }) => cache.deref()?.entityType ?? []),
      ),
    ];
  }

  close(): void {
    this.#isClosed = true;
    for (const same of this.#listed.values()) {
      for (const { cache } of same) cache.deref()?.close();
    }
  }

  #drop(listed: Listed): void {
    listed.unsubscribe();
    listed.marks?.end();
    const same = this.#listed.get(listed.name);
    same?.delete(listed);
    if (same?.size === 0) this.#listed.delete(listed.name);
  }

  #labelOf(name: string): string {
    if (this.#listed.size >= NAMES) return 'more';
    if (!this.#listed.has(name)) return name;
    for (let number = 2; number <= NUMBERED; number++) {
      if (!this.#listed.has(`${name}-${number}`)) return `${name}-${number}`;
    }
    return `${name}-more`;
  }
}
