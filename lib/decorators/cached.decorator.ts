import {
  NearCache,
  NearCacheFactory,
  resolveNearCache,
  type NearCacheOptions,
} from '../cache/index.js';
import {
  buildPattern,
  checkEntityType,
  patternOf,
  show,
  type EntityId,
  type EntityType,
} from '../message/index.js';
import { atOnce } from '../stream/index.js';
import {
  addDecoration,
  memberName,
  methodUnder,
  readsThis,
  refuseStatic,
} from './decorated-member.js';
import { copyMethod, type Method } from './copy-method.js';
import { injected } from './injected.js';

/* oxlint-disable typescript/no-explicit-any -- the selector is written for one
   method's parameters; only the decorator sees both */

/** Decorates methods that have the selector's parameters and return a promise. @publicApi */
export type CachingDecorator<A extends any[], V = unknown> = <
  M extends (...args: A) => Promise<V | null | undefined>,
>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/**
 * Keeps the loaded values in a near cache of the method, one for each class of the
 * application. `@InvalidatesCache` on the method that changes an entity evicts its value
 * on every instance.
 *
 * The value is shared by all callers, whichever request or tenant they belong to.
 *
 * @param selectId selects the id from the method's arguments; the id must cover
 * everything that the result depends on. It is called on the method's instance: a
 * `function` may read from `this`, such as an injected tenant.
 * @throws InvalidationConfigurationError that names every bad option, and
 * InvalidMessageError for an impossible entity type, and TypeError if the selector is not a function
 * @example
 * ```ts
 * @Cached('User', (id: string) => id)
 * async find(id: string): Promise<User> {}
 * ```
 * @publicApi
 */
export function Cached<A extends any[], V = any>(
  type: EntityType,
  selectId: (...args: A) => EntityId,
  options: NearCacheOptions<V> = {},
): CachingDecorator<A, V> {
  checkEntityType(type);
  if (typeof selectId !== 'function') {
    throw new TypeError(
      `${show(selectId)} is not a selector: give a function of the method's arguments.`,
    );
  }
  return (target, key, descriptor) => {
    refuseStatic(target, key, '@Cached()');
    const original = methodUnder(target, key, descriptor, '@Cached()');
    resolveNearCache(options);
    const { find, property } = injected(
      NearCacheFactory,
      target,
      key,
      'caches nothing',
    );
    const name = memberName(target, key);
    const cacheOf = cachesOf(target, name, type, options);
    makeAtStart(target, property, cacheOf);
    const wrapped = function (this: object, ...args: unknown[]): unknown {
      try {
        const factory = find(this);
        const cache = factory === null ? null : cacheOf(factory, this);
        if (cache === null) return original.apply(this, args);
        const id = atOnce(selectId.apply(this, args as A));
        const load = (): unknown => original.apply(this, args);
        const { primary } = options;
        // Untyped callers may give null.
        if (!primary) return cache.get(id, load);
        return cache.get(id, load, (one) => primary.call(this as never, one));
      } catch (error) {
        return Promise.reject(error);
      }
    };
    addDecoration(target, key, {
      does: 'caches',
      what: type,
      type,
      covers: patternOf(buildPattern(type)),
      seesInstance: readsThis(selectId),
      property,
    });
    copyMethod(wrapped as Method, original);
    descriptor.value = wrapped as never;
  };
}

/**
 * Finds the cache of an application and class. A subclass may load other values, and
 * instances that are made for a request share the cache of their class.
 */
function cachesOf(
  target: object,
  name: string,
  type: EntityType,
  options: NearCacheOptions<any>,
): (factory: NearCacheFactory, instance: object) => NearCache<unknown> | null {
  const caches = new WeakMap<
    NearCacheFactory,
    Map<unknown, NearCache<unknown>>
  >();
  return (factory, instance) => {
    let ofClasses = caches.get(factory);
    if (ofClasses === undefined) caches.set(factory, (ofClasses = new Map()));
    const owner = instance.constructor;
    let cache = ofClasses.get(owner);
    if (cache === undefined) {
      // A subclass that calls the method of its parent has a cache for each method.
      const whose = owner === target.constructor ? '' : `${owner.name}/`;
      const created = factory.createFor(type, options, whose + name);
      // A stub of the factory, in a test, makes no cache; nor does a publisher.
      if (!(created instanceof NearCache)) return null;
      ofClasses.set(owner, (cache = created));
    }
    return cache;
  };
}

/**
 * Makes the cache when Nest injects the factory. A second tier that is made at the
 * first call would have missed the messages before it.
 */
function makeAtStart(
  target: object,
  property: symbol,
  cacheOf: (factory: NearCacheFactory, instance: object) => unknown,
): void {
  Object.defineProperty(target, property, {
    configurable: true,
    set(this: object, value: unknown) {
      const own = { configurable: true, enumerable: true, writable: true };
      Object.defineProperty(this, property, { ...own, value });
      if (value instanceof NearCacheFactory) cacheOf(value, this);
    },
  });
}
