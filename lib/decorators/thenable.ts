import type { Method } from './copy-method.js';

type Thenable = PromiseLike<unknown> & object;
type Settle = (begun: PromiseLike<unknown>) => Promise<unknown>;

/**
 * Whether a thenable is a promise, of any library, so that its work has begun. Other
 * thenables begin when `then` is called (a PrismaPromise, a query builder).
 *
 * @internal
 */
export function isEager(thenable: Thenable): boolean {
  if (thenable instanceof Promise) return true;
  // An object without a prototype has none.
  const type = thenable.constructor as
    Partial<Record<'resolve' | 'reject', unknown>> | undefined;
  return (
    typeof type?.resolve === 'function' && typeof type.reject === 'function'
  );
}

/**
 * Wraps a promise that has more methods than `then` (`cancel()`, a child process), so that
 * its callers wait for another promise.
 *
 * @internal
 */
export function withPromise(target: Thenable, told: Promise<unknown>): unknown {
  return withMethods(target, (key, method, args) => {
    const own: unknown = Reflect.get(told, key);
    return isSettling(key) && typeof own === 'function'
      ? Reflect.apply(own, told, args)
      : Reflect.apply(method, target, args);
  });
}

/**
 * Wraps a lazy thenable without beginning it. The method that begins the work returns a
 * promise or another thenable, which is watched.
 *
 * @internal
 */
export function passLazily(target: Thenable, settle: Settle): unknown {
  // A proxy may not replace a fixed property, and that property may begin the work.
  if (Reflect.ownKeys(target).some((key) => isFixed(target, key))) {
    const told = settle(target);
    return isFixed(target, 'then') ? told : withPromise(target, told);
  }
  const passed: unknown = withMethods(target, (key, method, args) => {
    if (isSettling(key)) {
      const begun = settle(target);
      return Reflect.apply(Reflect.get(begun, key) as Method, begun, args);
    }
    const result = Reflect.apply(method, target, args);
    // A builder returns itself.
    if (result === target) return passed;
    if (!isThenable(result)) return result;
    return isEager(result) ? settle(result) : passLazily(result, settle);
  });
  return passed;
}

function isSettling(key: string | symbol): key is 'then' | 'catch' | 'finally' {
  return key === 'then' || key === 'catch' || key === 'finally';
}

function isThenable(value: unknown): value is Thenable {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Thenable).then === 'function'
  );
}

/**
 * Wraps an object: it is unchanged to its users, except for calls of its methods.
 *
 * @internal
 */
export function withMethods(
  target: object,
  call: (key: string | symbol, method: Method, args: unknown[]) => unknown,
): unknown {
  return new Proxy(target, {
    // Getters and methods run on the object itself: they may read private fields.
    get(_target, key) {
      const value: unknown = Reflect.get(target, key, target);
      return typeof value !== 'function' ||
        key === 'constructor' ||
        isFixed(target, key)
        ? value
        : (...args: unknown[]) => call(key, value as Method, args);
    },
  });
}

/** Whether a proxy must give this method as it is. */
function isFixed(target: object, key: string | symbol): boolean {
  const own = Reflect.getOwnPropertyDescriptor(target, key);
  return (
    own?.configurable === false &&
    own.writable === false &&
    typeof own.value === 'function'
  );
}
