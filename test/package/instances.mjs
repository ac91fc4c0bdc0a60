// Two running instances of an application, and whether one receives the
// invalidations of the other.
import { createConnection } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort, start } from './workbench.mjs';

const STALE_AT_MOST = 2_000;
const STARTED_WITHIN = 30_000;

/** Reads and writes users at `/users/:id`. */
export const REST = {
  read: (url, id) => http(`${url}/users/${id}`),
  write: (url, id, name) =>
    http(`${url}/users/${id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
    }),
};

/** The Redis of REDIS_URL, or a server of this check's own. */
export async function findRedis() {
  if (process.env.REDIS_URL) {
    return { url: process.env.REDIS_URL, stop: async () => {} };
  }
  const port = await freePort();
  const server = start(
    'redis-server',
    `--port ${port} --bind 127.0.0.1 --save  --appendonly no`.split(' '),
  );
  await poll('redis-server answers', STARTED_WITHIN, server, () =>
    answers(port),
  );
  return { url: `redis://127.0.0.1:${port}`, stop: server.stop };
}

/** Starts an instance on a port of its own, and waits until it listens. */
export async function launch(cwd, env, main = 'dist/main.js') {
  const port = await freePort();
  const server = start('node', [main], {
    cwd,
    env: { ...env, PORT: String(port) },
  });
  await poll('the application listens', STARTED_WITHIN, server, () =>
    answers(port),
  );
  return { server, url: `http://127.0.0.1:${port}` };
}

/** Fails if the reader, which has a copy, still serves it after the write. */
export async function hears({ writer, reader, id, door = REST }) {
  const read = async () => (await door.read(reader.url, id)).name;
  for (const after of ['Ada', 'Grace']) {
    const before = await read();
    if (before === after)
      throw new Error(`${after} is there before the write.`);
    await door.write(writer.url, id, after);
    const since = performance.now();
    await reads({ reader, id, name: after, door });
    const took = (performance.now() - since).toFixed(0);
    console.log(`    ${before} -> ${after} within ${took} ms`);
  }
}

/** Waits until an instance reads the value that another has written. */
export function reads({ reader, id, name, door = REST }) {
  return poll(`a read says ${name}`, STALE_AT_MOST, reader.server, async () => {
    return (await door.read(reader.url, id)).name === name;
  });
}

export async function http(url, options) {
  const response = await fetch(url, options);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
  return JSON.parse(text);
}

async function answers(port) {
  const socket = createConnection({ port, host: '127.0.0.1' });
  const connected = await new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  socket.destroy();
  return connected;
}

async function poll(what, within, server, condition) {
  let died = false;
  void server.ended.then(() => (died = true));
  const deadline = performance.now() + within;
  while (!(await condition())) {
    if (died || performance.now() > deadline) {
      const why = died ? 'it ended' : `not within ${within} ms`;
      throw new Error(`${what}: ${why}\n${server.output()}`);
    }
    await delay(10);
  }
}
