import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  entity,
  InvalidationSubscriber,
  pattern,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  afterAll,
  beforeEach,
  expect,
  inject,
  it,
  onTestFinished,
} from 'vitest';
import { HttpClient, type Answer } from '../../sample-app/demo/http.client.js';
import { SlowRoad } from '../../sample-app/demo/slow.road.js';
import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';

const OWNERS = [
  'USER_SERVICE_URL',
  'CONTENT_SERVICE_URL',
  'SOCIAL_SERVICE_URL',
  'COMMUNICATION_SERVICE_URL',
];

const http = new HttpClient();
/** Answers of the owners by path; other paths have none. */
let rows: Map<string, unknown>;
let road: SlowRoad;
let owner: TestApp;
let gateways: { app: INestApplication; url: string }[];
/** A new id for each test, and for each run: Redis may have entries of the last one. */
let id = Date.now() % 500_000_000;

/** Starts a server for all other services, behind a road that can hold back answers. */
async function startOwners(): Promise<void> {
  const server = createServer(({ url = '' }, response) => {
    const row = rows.get(url);
    response.writeHead(row === undefined ? 404 : 200);
    response.end(JSON.stringify(row ?? null));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  road = new SlowRoad();
  await road.open();
  road.leadTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(async () => {
    await road.close();
    server.close().closeAllConnections();
  });
}

async function startGateway(): Promise<{ app: INestApplication; url: string }> {
  const module = await Test.createTestingModule({
    imports: [GatewayModule],
  }).compile();
  const app = module.createNestApplication({
    logger: false,
    forceCloseConnections: true,
  });
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl() };
}

function read(gateway: number, path: string): Promise<Answer<unknown>> {
  return http.send('GET', gateways[gateway]!.url + path);
}

/**
 * Changes the owners' answers, and returns once every gateway has applied the
 * message.
 */
async function change(
  changed: Record<string, unknown>,
  says: Invalidation,
): Promise<void> {
  for (const [path, row] of Object.entries(changed)) {
    if (row === undefined) rows.delete(path);
    else rows.set(path, row);
  }
  const { offset } = await owner.publisher.publish(says);
  for (const { app } of gateways) {
    await app
      .get(InvalidationSubscriber)
      .caughtUp(offset!, { timeout: 10_000 });
  }
}

beforeEach(async () => {
  id++;
  rows = new Map();
  await startOwners();
  const channel = uniqueChannel();
  process.env['REDIS_URL'] = inject('redisUrl');
  process.env['CACHE_INVALIDATION_CHANNEL'] = channel;
  for (const name of OWNERS) process.env[name] = road.url;
  owner = await startApp({ channel, serviceName: 'owner' });
  gateways = [await startGateway(), await startGateway()];
  // Values loaded before the journal begins have no position, and are not shared.
  await change({}, entity('User', 1_000_000_000));
});

afterAll(() => {
  for (const name of OWNERS) delete process.env[name];
  delete process.env['REDIS_URL'];
  delete process.env['CACHE_INVALIDATION_CHANNEL'];
});

it('Sample app gateway: reads users from memory, then from Redis, then from their owner', async () => {
  const path = `/users/${id}`;
  rows.set(path, { version: 1 });
  expect(await read(0, path)).toMatchObject({ source: 'MISS' });
  expect(await read(0, path)).toMatchObject({ source: 'L1' });
  // No read waits for the entry in Redis.
  const redis = connectRaw();
  await eventually(async () =>
    expect(await redis.exists(`sample-app:gateway:user:${id}`)).toBe(1),
  );
  expect(await read(1, path)).toMatchObject({ source: 'L2' });
  await change({ [path]: { version: 2 } }, entity('User', id));
  const after = await read(0, path);
  expect(after).toMatchObject({ source: 'MISS', body: { version: 2 } });
  expect((await read(1, path)).body).toEqual({ version: 2 });
  const { body } = await read(0, '/cache');
  expect(body).toMatchObject({ hits: 1, misses: 2, loads: 2, size: 1 });
});

it.each([
  ['a user', (n: number) => `/users/${n}`, (n: number) => entity('User', n)],
  ['a post', (n: number) => `/posts/${n}`, (n: number) => entity('Post', n)],
])(
  'Sample app gateway: does not cache %s that an update overtakes',
  async (_, pathOf, says) => {
    const path = pathOf(id);
    rows.set(path, { version: 1 });
    const hold = road.hold(path);
    const late = read(0, path);
    await hold.arrived;
    await change({ [path]: { version: 2 } }, says(id));
    hold.release();
    expect(await late).toMatchObject({ source: 'MISS', body: { version: 1 } });
    // Neither in memory nor in Redis.
    const next = await read(0, path);
    expect(next).toMatchObject({ source: 'MISS', body: { version: 2 } });
    expect((await read(1, path)).body).toEqual({ version: 2 });
    const last = await read(0, path);
    expect(last.source).toMatch(/L1|HIT/);
    expect(last.body).toEqual({ version: 2 });
  },
);

it('Sample app gateway: caches pages of feeds, and evicts all of one user', async () => {
  const shown = [1, 2].map((page) => `/feeds/${id}?page=${page}`);
  const [first, second] = [1, 2].map(
    (page) => `/users/${id}/feed?page=${page}`,
  );
  rows.set(first!, [1]).set(second!, [2]);
  for (const path of shown) {
    expect((await read(0, path)).source).toBe('MISS');
    expect((await read(0, path)).source).toBe('HIT');
  }
  await change(
    { [first!]: [3], [second!]: undefined },
    pattern(`feed:${id}:*`),
  );
  for (const gateway of [0, 1]) {
    expect((await read(gateway, shown[0]!)).body).toEqual([3]);
    expect((await read(gateway, shown[1]!)).status).toBe(404);
  }
});

it('Sample app gateway: does not cache a 404', async () => {
  for (const path of [`/notifications/${id}`, `/users/${id}`]) {
    expect((await read(0, path)).status).toBe(404);
  }
  rows.set(`/users/${id}/notifications`, ['hello']).set(`/users/${id}`, { id });
  expect((await read(0, `/notifications/${id}`)).body).toEqual(['hello']);
  expect((await read(0, `/users/${id}`)).body).toEqual({ id });
});
