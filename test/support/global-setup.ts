import { Redis } from 'ioredis';
import type { TestProject } from 'vitest/node';
import { hasProgram } from './programs.js';
import { startRedis, type RedisServer } from './redis.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /**
     * URL of the server that all test files share; tests that need faults or
     * settings start their own with `startRedis()`.
     */
    redisUrl: string;
  }
}

/** Other servers that some tests run. */
const OTHERS = {
  chromium: 'the tests of the live page (npm run test:page)',
  promtool: "Prometheus' checks of metrics, alerts and dashboards",
};

/** Starts the run's one shared server, so that a test file need not start its own. */
export default async function setup(
  project: TestProject,
): Promise<() => Promise<void>> {
  const server = await startRedis();
  console.log(`Tests run on ${await describeServer(server)}`);
  for (const [program, tests] of Object.entries(OTHERS)) {
    if (!hasProgram(program)) {
      console.log(`No ${program} on this machine: ${tests} do not run`);
    }
  }
  project.provide('redisUrl', server.url);
  return () => server.stop();
}

async function describeServer({ kind, url }: RedisServer): Promise<string> {
  if (kind === 'redis-server') return `redis-server ${await versionOf(url)}`;
  return 'embedded Valkey (no redis-server on this machine: Cluster, Sentinel and process-fault tests do not run)';
}

async function versionOf(url: string): Promise<string> {
  const client = new Redis(url);
  const info = await client.info('server');
  client.disconnect();
  return /^redis_version:(\S+)/m.exec(info)?.[1] ?? 'of unknown version';
}
