import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 10;

/**
 * Waits for a condition, up to a limit.
 *
 * @param what completes "waited N ms for"
 * @param condition resolves to the result, or to a false value
 */
export async function until(what, condition, limit = 20_000) {
  const deadline = performance.now() + limit;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > deadline) {
      throw new Error(`waited ${limit} ms for ${what}`);
    }
    await sleep(EVERY_MS);
  }
}

/** Settles as `promise` does, or rejects when it takes too long. */
export async function within(ms, what, promise) {
  const timeout = new AbortController();
  try {
    return await Promise.race([
      promise,
      sleep(ms, null, { signal: timeout.signal }).then(() => {
        throw new Error(`waited ${ms} ms for ${what}`);
      }),
    ]);
  } finally {
    timeout.abort();
  }
}
