import { Inject, type Type } from '@nestjs/common';
import { memberName, warnOnce } from './decorated-member.js';

/**
 * A property dependency of the decorated class. Nest sets it on every instance
 * it makes, whatever its scope. Where it cannot, its error shows the property's
 * description, which therefore says what to do.
 *
 * @param but what the method does not do on an instance that Nest did not make
 * @returns `find`, which gives the dependency of an instance; `null` without one,
 * or where a test injects a mock in its place: then the method passes through
 * @internal
 */
export function injected<T extends object>(
  type: Type<T> | (abstract new (...args: never[]) => T),
  target: object,
  key: string | symbol,
  but: string,
): { find: (instance: unknown) => T | null; property: symbol } {
  const name = memberName(target, key);
  const property = Symbol(
    `${name} (import CacheInvalidationModule). In a unit test use InMemoryBroker of nestjs-cache-invalidation/testing, or useMocker(). If the module is imported, look for two copies of the package`,
  );
  Inject(type)(target, property);
  const warn = warnOnce(name, but);
  const find = (instance: unknown): T | null => {
    const dependency = (instance as Record<symbol, unknown> | undefined)?.[
      property
    ];
    if (dependency instanceof type) return dependency;
    if (dependency === undefined) warn();
    return null;
  };
  return { find, property };
}
