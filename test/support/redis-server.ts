import {
  beforeAll,
  describe,
  it,
  onTestFinished,
  type TestFunction,
} from 'vitest';
import {
  hasRedisServer,
  markRedisServer,
  startRedis,
  type RedisServer,
  type StartRedisOptions,
} from './redis.js';

/** Starts a server for one test, and stops it when the test ends. */
export async function startServer(
  options?: StartRedisOptions,
): Promise<RedisServer> {
  const server = await startRedis(options);
  onTestFinished(() => server.stop());
  return server;
}

/**
 * A suite that needs a `redis-server`: skipped without one. Only such suites
 * may start a server on purpose.
 */
export function describeOnRedisServer(name: string, tests: () => void): void {
  // oxlint-disable-next-line vitest/valid-title -- it is the caller's
  describe.runIf(hasRedisServer())(name, () => {
    beforeAll(() => markRedisServer());
    tests();
  });
}

/** A single test of this kind. */
export function itOnRedisServer(name: string, test: TestFunction): void {
  // oxlint-disable-next-line vitest/valid-title, vitest/expect-expect -- those are the caller's
  it.runIf(hasRedisServer())(name, async (context) => {
    const endMark = markRedisServer();
    context.onTestFinished(endMark);
    await test(context);
  });
}
