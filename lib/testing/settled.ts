import { PublishQueue } from '../publisher/index.js';
import { InvalidationStream } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';

/** A test's fake timers would never call it: the real one, from before them. */
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
 * and every handler has finished, whatever the handlers published included. For
 * applications on an `InMemoryBroker`. It does not wait for what a broker delays,
 * nor for what an application that is cut off cannot send.
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
    // What a handler's continuation publishes comes a moment after it.
    await new Promise((resolve) => nextTurn(resolve));
  } while (sending().length > 0 || parts.some(({ stream }) => stream.busy));
}
