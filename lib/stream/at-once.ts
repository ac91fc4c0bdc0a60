import { isPromiseLike } from './is-promise-like.js';

/**
 * The result of a function of the application's that must be synchronous.
 *
 * @throws TypeError for a promise
 * @internal
 */
export function atOnce<V>(value: V): V {
  if (!isPromiseLike(value)) return value;
  // Handled here, since nobody awaits this promise.
  Promise.resolve(value).catch(() => undefined);
  throw new TypeError('it returned a promise, but must be synchronous');
}
