import { onTestFinished, vi } from 'vitest';

/**
 * Stops the clocks until the end of the test, except where it advances them.
 * Ticks and promises continue.
 */
export function stopTime(): void {
  vi.useFakeTimers({
    toFake: [
      'setTimeout',
      'clearTimeout',
      'setInterval',
      'clearInterval',
      'performance',
      'Date',
    ],
  });
  onTestFinished(() => {
    vi.useRealTimers();
  });
}

/** Lets everything run that needs no time. */
export const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** The error that a promise rejects with, also while a test advances the clock. */
export const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => new Error('It has not failed.'),
    (error: unknown) => error,
  );
