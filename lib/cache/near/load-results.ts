import { isPromiseLike } from '../../stream/index.js';

/**
 * Checks what `loadMany` of untyped code has returned, such as an array of rows.
 *
 * @throws TypeError if it is no map
 * @internal
 */
export function checkMap<M extends ReadonlyMap<unknown, unknown>>(map: M): M {
  if (typeof (map as Partial<M> | null | undefined)?.get === 'function') {
    return map;
  }
  throw new TypeError(
    'loadMany returned no map: return a Map from each id to its value.',
  );
}

/**
 * Checks the values of such a map: promises would be kept unchecked.
 *
 * @throws TypeError if one is a promise
 * @internal
 */
export function refusePromises(values: readonly unknown[]): void {
  if (!values.some(isPromiseLike)) return;
  // Handles their rejections.
  void Promise.allSettled(values);
  throw new TypeError(
    'loadMany returned a map of promises: return a map of what they resolve to.',
  );
}
