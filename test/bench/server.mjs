import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';

/**
 * A redis-server of the benchmark's own, or the one in REDIS_URL.
 *
 * @param own whether it must not be the one in REDIS_URL
 */
export async function startServer({ own = false } = {}) {
  if (process.env.REDIS_URL && !own) {
    return {
      url: process.env.REDIS_URL,
      version: await answers(process.env.REDIS_URL),
      stop() {},
    };
  }
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const child = spawn(
    process.env.REDIS_SERVER ?? 'redis-server',
    ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    { stdio: 'ignore' },
  );
  child.once('error', (error) => {
    console.error(
      `redis-server could not be started: ${error.message}. Install it, or set REDIS_URL.`,
    );
    process.exit(1);
  });
  process.once('exit', () => child.kill());
  return { url, version: await answers(url), stop: () => child.kill() };
}

async function answers(url) {
  const redis = new Redis(url, {
    retryStrategy: () => 50,
    maxRetriesPerRequest: 100,
  });
  redis.on('error', () => {});
  const info = await redis.info('server');
  redis.disconnect();
  return `Redis ${/redis_version:(\S+)/.exec(info)[1]}`;
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
