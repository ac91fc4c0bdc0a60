import type { Cluster, Redis } from 'ioredis';
import { reconnectDelay } from '../../common/index.js';
import { SENTINEL_MS } from './open-client.js';
import { isCluster } from './redis-connection.js';

/**
 * Milliseconds that each step of an opening may take: to connect, to be ready, to
 * have SUBSCRIBE acknowledged. A link that swallows every byte reports no error.
 */
const OPENING_MS = 3_000;
/** States of a cluster that it leaves at once, unless it has halted there. */
const HALTED = ['disconnecting', 'close'];
const HALTED_MS = 500;

/** Milliseconds that each step of a client's opening may take. @internal */
export function openingTime(client: Redis | Cluster): number {
  if (isCluster(client)) return OPENING_MS;
  const { sentinels, sentinelCommandTimeout = SENTINEL_MS } = client.options;
  return OPENING_MS + (sentinels?.length ?? 0) * sentinelCommandTimeout;
}

/**
 * Connects again in the cases in which ioredis does not:
 *
 * - it has ended for good: it was disconnected while it asked a Sentinel for the
 *   master;
 * - a cluster has halted: it lost its last node while it was being opened;
 * - nobody answers an opening: ioredis waits without a bound once it has a socket.
 *
 * @returns a function that ends this
 * @internal
 */
export function keepOpen(client: Redis | Cluster): () => void {
  let attempt = 0;
  let retry: NodeJS.Timeout | undefined;
  let halt: NodeJS.Timeout | undefined;
  let opening: NodeJS.Timeout | undefined;
  const connect = (): void => {
    // The 'error' event reports a failure.
    client.connect().catch(() => undefined);
  };
  const connectIfHalted = (): void => {
    if (!isCluster(client)) return;
    clearTimeout(halt);
    halt = setTimeout(() => {
      if (HALTED.includes(client.status)) connect();
    }, HALTED_MS);
  };
  const listeners = {
    disconnecting: connectIfHalted,
    connecting: () => {
      clearTimeout(opening);
      const giveUp = (): void => client.disconnect(true);
      opening = setTimeout(giveUp, 2 * openingTime(client));
    },
    ready: () => {
      attempt = 0;
      clearTimeout(opening);
    },
    close: () => {
      clearTimeout(opening);
      connectIfHalted();
    },
    end: () => {
      clearTimeout(opening);
      retry = setTimeout(connect, reconnectDelay(attempt++));
    },
  };
  for (const [event, listener] of Object.entries(listeners)) {
    client.on(event, listener);
  }
  return () => {
    for (const [event, listener] of Object.entries(listeners)) {
      client.off(event, listener);
    }
    clearTimeout(retry);
    clearTimeout(halt);
    clearTimeout(opening);
  };
}
