import { setTimeout as delay } from 'node:timers/promises';

const POLL_INTERVAL_MS = 5;

/**
 * Waits by condition: calls the assertion every few milliseconds until it no
 * longer throws, and resolves with what it returned.
 *
 * `vi.waitFor` does the same inside a test, but `vi` does not exist in a global
 * setup or a benchmark, and its defaults (every 50 ms, for 1 s) are too coarse
 * here.
 *
 * @throws the assertion's last error once `timeout` milliseconds have passed.
 *
 * @example
 * await eventually(() => expect(received).toEqual(['user:1']));
 */
export async function eventually<T>(
  assertion: () => T | Promise<T>,
  { timeout = 5000 } = {},
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
    }
    await delay(POLL_INTERVAL_MS);
  }
}
