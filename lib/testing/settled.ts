import { InvalidationPublisher } from '../publisher/index.js';
import { InvalidationStream } from '../stream/index.js';

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
 * applications on an `InMemoryBroker`.
 *
 * @publicApi
 */
export async function settled(...apps: AppWithProviders[]): Promise<void> {
  const publishers = apps.map((app) =>
    app.get(InvalidationPublisher, { strict: false }),
  );
  const streams = apps.map((app) =>
    app.get(InvalidationStream, { strict: false }),
  );
  do {
    await Promise.all(publishers.map((publisher) => publisher.whenIdle()));
    await Promise.all(streams.map((stream) => stream.whenIdle()));
    // What a handler's continuation publishes comes a moment after it.
    await new Promise((resolve) => nextTurn(resolve));
  } while (
    publishers.some(({ pending }) => pending > 0) ||
    streams.some(({ busy }) => busy)
  );
}
