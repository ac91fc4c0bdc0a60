const FIRST_MS = 50;
const LAST_MS = 500;
/** Longer, since each try costs a Redis that answers something. */
const LAST_REFUSED_MS = 4_000;
/** Tries of the first ten seconds: a failover or a restart is over by then. */
const QUICK_TRIES = 32;
const LAST_RECONNECT_MS = 5_000;

/**
 * Milliseconds to wait before the next try. Jittered: a thousand instances must
 * not reconnect in one moment.
 *
 * @param attempt how many tries have failed since the last success
 * @internal
 */
export function retryDelay(attempt: number): number {
  return jittered(Math.min(LAST_MS, FIRST_MS * 2 ** attempt));
}

/** Milliseconds before the next try while Redis answers with a refusal. @internal */
export function refusedDelay(attempt: number): number {
  return jittered(Math.min(LAST_REFUSED_MS, FIRST_MS * 2 ** attempt));
}

/**
 * Milliseconds before the next try to open a connection, longer once Redis has been
 * away for ten seconds.
 *
 * @internal
 */
export function reconnectDelay(attempt: number): number {
  if (attempt < QUICK_TRIES) return retryDelay(attempt);
  const ceiling = LAST_MS * 2 ** (attempt - QUICK_TRIES + 1);
  return jittered(Math.min(LAST_RECONNECT_MS, ceiling));
}

function jittered(ceiling: number): number {
  return Math.round(FIRST_MS / 2 + Math.random() * ceiling);
}
