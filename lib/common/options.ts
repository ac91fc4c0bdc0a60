import { inMilliseconds } from './duration.js';

/** Given options without those that are `undefined`, which count as absent. @internal */
export function known(given: unknown): object {
  return Object.fromEntries(
    Object.entries(given ?? {}).filter(([, value]) => value !== undefined),
  );
}

/**
 * Fills given options into an object that has the defaults.
 *
 * @param times options that may be texts such as `'5m'`; they become milliseconds
 * @internal
 */
export function fillIn<T extends object>(
  options: T,
  given: unknown,
  times: readonly (keyof T)[] = [],
): T {
  Object.assign(options, known(given));
  for (const time of times) {
    options[time] = inMilliseconds(options[time]) as T[keyof T];
  }
  return options;
}
