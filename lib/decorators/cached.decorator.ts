import { Inject, Logger } from '@nestjs/common';
import {
  NearCacheFactory,
  resolveNearCache,
  type NearCache,
  type NearCacheOptions,
} from '../cache/index.js';
import {
  checkEntityType,
  type EntityId,
  type EntityType,
} from '../message/index.js';
import { atOnce } from '../stream/index.js';
import { imitate, type Method } from './imitate.js';

/* oxlint-disable typescript/no-explicit-any -- the selector is written for one
   method's parameters; only the decorator sees both */

/** For methods that take what the selector takes, and return a promise. @publicApi */
export type CachingDecorator<A extends any[]> = <
  M extends (...args: A) => Promise<unknown>,
>(
  target: object,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => void;

/**
 * Keeps what the method loads in a near cache of its own, one for each class
 * in the whole application: `@InvalidatesCache` on the method that changes it evicts it, on
 * whatever instance.
 *
 * @param selectId from the method's arguments; it must say all that the result
 * depends on
 * @throws InvalidationConfigurationError that names every bad option, and
 * InvalidMessageError for an impossible entity type
 * @example
 * ```ts
 * @Cached('User', (id: string) => id)
 * async find(id: string): Promise<User> {}
 * ```
 * @publicApi
 */
export function Cached<A extends any[]>(
  type: EntityType,
  selectId: (...args: A) => EntityId,
  options: NearCacheOptions = {},
): CachingDecorator<A> {
  checkEntityType(type);
  return (target, key, descriptor) => {
    const original = descriptor.value as Method | undefined;
    const name = `${target.constructor.name}.${String(key)}`;
    if (typeof target === 'function' || typeof original !== 'function') {
      throw new TypeError(
        `${name} is not a method of instances: @Cached() decorates methods of providers.`,
      );
    }
    resolveNearCache(options);
    const find = cacheOf(target, name, type, options);
    const wrapped = function (this: object, ...args: unknown[]): unknown {
      try {
        const cache = find(this);
        if (cache === null) return original.apply(this, args);
        const id = atOnce(selectId(...(args as A)));
        return cache.get(id, () => original.apply(this, args));
      } catch (error) {
        return Promise.reject(error);
      }
    };
    imitate(wrapped as Method, original);
    descriptor.value = wrapped as never;
  };
}

/**
 * A property dependency: Nest sets it on every instance it makes, whatever its
 * scope, and names the property when the module is missing.
 */
function cacheOf(
  target: object,
  name: string,
  type: EntityType,
  options: NearCacheOptions,
): (instance: object) => NearCache<unknown> | null {
  const property = Symbol(`${name} (import CacheInvalidationModule)`);
  Inject(NearCacheFactory)(target, property);
  // One for each application and class, of which a subclass may load something
  // else: what is made for a request must find it again.
  const caches = new WeakMap<
    NearCacheFactory,
    Map<unknown, NearCache<unknown>>
  >();
  const cacheFor = (
    instance: object,
    factory: NearCacheFactory,
  ): NearCache<unknown> => {
    let ofClasses = caches.get(factory);
    if (ofClasses === undefined) caches.set(factory, (ofClasses = new Map()));
    const owner = instance.constructor;
    let cache = ofClasses.get(owner);
    if (cache === undefined) {
      // A subclass that calls the method of its parent has a cache for each.
      const whose = owner === target.constructor ? '' : `${owner.name}/`;
      cache = factory.createFor(type, options, whose + name);
      ofClasses.set(owner, cache);
    }
    return cache;
  };
  // The cache exists from the start: what its shared tier does not hear, it
  // cannot tell those that start later.
  Object.defineProperty(target, property, {
    configurable: true,
    set(this: object, value: unknown) {
      const own = { configurable: true, enumerable: true, writable: true };
      Object.defineProperty(this, property, { ...own, value });
      if (value instanceof NearCacheFactory) cacheFor(this, value);
    },
  });
  let warned = false;
  return (instance) => {
    const factory = (instance as Record<symbol, NearCacheFactory | undefined>)[
      property
    ];
    if (factory === undefined) {
      if (!warned) {
        warned = true;
        new Logger('CacheInvalidation').warn(
          `${name} was called on an instance that Nest did not make: it works, but caches nothing.`,
        );
      }
      return null;
    }
    return cacheFor(instance, factory);
  };
}
