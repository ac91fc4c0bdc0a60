const FIRST_MS = 50;
const LAST_MS = 500;
/** Redis is there, and each try costs it something. */
const LAST_REFUSED_MS = 4_000;

/**
 * Milliseconds to wait before the next try. Jittered: a thousand instances must
 * not come back in one moment.
 *
 * @param attempt how many tries have failed since the last success
 * @internal
 */
export function retryDelay(attempt: number): number {
  return delay(attempt, LAST_MS);
}

/** The same where Redis answers, and refuses. @internal */
export function refusedDelay(attempt: number): number {
  return delay(attempt, LAST_REFUSED_MS);
}

function delay(attempt: number, last: number): number {
  const ceiling = Math.min(last, FIRST_MS * 2 ** attempt);
  return Math.round(FIRST_MS / 2 + Math.random() * ceiling);
}
