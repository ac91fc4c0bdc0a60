const FIRST_MS = 50;
const LAST_MS = 500;

/**
 * Milliseconds to wait before the next try. Jittered: a thousand instances must
 * not come back in one moment.
 *
 * @param attempt how many tries have failed since the last success
 * @internal
 */
export function retryDelay(attempt: number): number {
  const ceiling = Math.min(LAST_MS, FIRST_MS * 2 ** attempt);
  return Math.round(FIRST_MS / 2 + Math.random() * ceiling);
}
