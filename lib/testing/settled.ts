import { PublishQueue } from '../publisher/index.js';
import { InvalidationStream } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';

/** The real `setImmediate`: fake timers of a test would never call it. */
const nextTurn = setImmediate;

/** The part of `INestApplicationContext` that is needed here. @publicApi */
export interface AppWithProviders {
  get<T>(
    token: abstract new (...args: never[]) => T,
    options: { strict: false },
  ): T;
}

/**
 * Resolves once everything that these applications published has been delivered
 * and every handler has finished, including messages that handlers published. For
 * applications on an `InMemoryBroker`. It waits neither for delayed messages nor for those
 * of an application that is cut off.
 *
 * @publicApi
 */
export async function settled(...apps: AppWithProviders[]): Promise<void> {
  const parts = apps.map((app) => ({
    queue: app.get(PublishQueue, { strict: false }),
    stream: app.get(InvalidationStream, { strict: false }),
    transport: app.get(InvalidationTransport, { strict: false }),
  }));
  const sending = () =>
    parts.filter(
      ({ queue, transport }) => transport.writable && queue.pending > 0,
    );
  do {
    await Promise.all(sending().map(({ queue }) => queue.whenIdle()));
    await Promise.all(parts.map(({ stream }) => stream.whenIdle()));
    // The continuation of a handler may publish a moment later.
    await new Promise((resolve) => nextTurn(resolve));
  } while (sending().length > 0 || parts.some(({ stream }) => stream.busy));
}
