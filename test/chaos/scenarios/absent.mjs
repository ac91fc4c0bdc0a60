/** 14: no Redis at the start, or ever. */
import { singleBroker } from '../brokers.mjs';

const SHUTDOWN_MS = 500;

export const absent = [
  {
    name: 'boot-without-redis',
    title: 'boot with Redis away; it comes later',
    options: { startupTimeout: 300 },
    broker: () => singleBroker({ running: false }),
    fault: (stage) => stage.writes(1_000),
    heal: ({ redis }) => redis.start(),
  },
  {
    name: 'never-redis',
    title: 'Redis away for the whole life of an instance',
    options: { startupTimeout: 300, shutdownTimeout: SHUTDOWN_MS },
    broker: () => singleBroker({ running: false }),
    instances: [{ name: 'alone', writes: true }],
    fault: (stage) => stage.writes(1_500),
    // The outbox can never be sent; the instance's own cache must be right anyway.
    drains: false,
    shares: false,
    verify: async ({ applications }) => {
      const { closedIn } = await applications[0].report();
      const bound = 2 * SHUTDOWN_MS + 1_000;
      return closedIn <= bound
        ? []
        : [`the shutdown took ${Math.round(closedIn)} ms`];
    },
  },
];
