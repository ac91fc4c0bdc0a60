import { needsModule } from '../handlers/index.js';
import { InvalidationScope, currentScope } from '../publisher/index.js';
import { methodUnder } from './decorated-member.js';
import { copyMethod, type Method } from './copy-method.js';

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
    const original = methodUnder(
      target,
      key,
      descriptor,
      '@DeferInvalidations()',
    );
    const wrapped: Method = function (...args) {
      const work = (): unknown => original.apply(this, args);
      return currentScope() === null ? InvalidationScope.run(work) : work();
    };
    copyMethod(wrapped, original);
    descriptor.value = wrapped as never;
    // Nest makes no instance of a class itself.
    if (typeof target !== 'function') needsModule(target, key);
  };
}
