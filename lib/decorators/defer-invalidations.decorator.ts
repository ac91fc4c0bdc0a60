import { InvalidationScope } from '../publisher/index.js';
import { imitate, type Method } from './imitate.js';

/**
 * Makes each call of the method an `InvalidationScope`: what is published in the
 * course of it, by the methods that it calls too, leaves after the method has
 * succeeded, merged, and vanishes if it throws. For methods that are one
 * transaction, from BEGIN to COMMIT; whatever may still fail after that belongs
 * elsewhere, for its error would be taken for a rollback.
 *
 * Called within another scope, the method is part of that one, and not of a
 * savepoint: if it throws, what it published stays with the transaction that its
 * caller may yet commit.
 *
 * Stack it above what begins the transaction (`@Transactional()`).
 * `@InvalidatesCache()` may stand above or below it: below, its invalidation
 * leaves with the others; above, right after them.
 *
 * @example
 * ```ts
 * @DeferInvalidations()
 * place(order: Order): Promise<void> {
 *   return this.db.transaction(async (tx) => {});
 * }
 * ```
 * @publicApi
 */
export function DeferInvalidations() {
  return <M extends (...args: never[]) => unknown>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<M>,
  ): void => {
    const original = descriptor.value as Method | undefined;
    if (typeof original !== 'function') {
      throw new TypeError(
        `${nameOf(target, key)} is not a method: @DeferInvalidations() decorates methods.`,
      );
    }
    if (original.constructor.name.endsWith('GeneratorFunction')) {
      throw new TypeError(
        `${nameOf(target, key)} is a generator: it returns before its body has run. Decorate the method that consumes it.`,
      );
    }
    const wrapped: Method = function (...args) {
      const work = (): unknown => original.apply(this, args);
      return InvalidationScope.current === null
        ? InvalidationScope.run(work)
        : work();
    };
    imitate(wrapped, original);
    descriptor.value = wrapped as never;
  };
}

function nameOf(target: object, key: string | symbol): string {
  const { name } = typeof target === 'function' ? target : target.constructor;
  return `${name}.${String(key)}`;
}
