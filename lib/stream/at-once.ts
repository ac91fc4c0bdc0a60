import { isPromiseLike } from './is-promise-like.js';

/**
 * The answer of a function of the application's, for which nobody can wait.
 *
 * @throws TypeError for a promise
 * @internal
 */
export function atOnce<V>(value: V): V {
  if (!isPromiseLike(value)) return value;
  // Nobody else will hear of its rejection.
  Promise.resolve(value).catch(() => undefined);
  throw new TypeError('it returned a promise, and must answer at once');
}
