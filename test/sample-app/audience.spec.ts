import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Audience } from '../../sample-app/demo/audience.js';
import { HttpClient } from '../../sample-app/demo/http.client.js';
import { eventually } from '../support/eventually.js';

const CAST = { adaId: 2, graceId: 1, postIds: [1, 2, 3] };

let server: Server;
let stop: AbortController;
let url: string;
/** Requests, other than queries for the number of viewers. */
let requests: string[];
let looks: number;
let viewers: number;

/**
 * A server in place of all services, which answers only the requests of the
 * audience.
 */
beforeEach(async () => {
  [requests, looks, viewers] = [[], 0, 0];
  stop = new AbortController();
  let users = 2;
  server = createServer((request, response) => {
    const path = String(request.url);
    if (path === '/viewers') looks++;
    else requests.push(`${request.method} ${path}`);
    const id = request.method === 'POST' ? ++users : 0;
    response.end(JSON.stringify({ id, viewers }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  stop.abort();
  server.close().closeAllConnections();
});

function start(patience?: number): {
  audience: Audience;
  ended: Promise<void>;
} {
  const network = { urlOf: () => url };
  const options = patience === undefined ? {} : { patience };
  const audience = new Audience(network, new HttpClient(), options);
  return { audience, ended: audience.run(CAST, stop.signal) };
}

const reads = (): string[] => requests.filter((each) => each.startsWith('GET'));

describe('Sample app: Audience', () => {
  it('creates users and follows at its arrival, and only reads afterwards', async () => {
    const { audience, ended } = start();
    await eventually(() => expect(reads().length).toBeGreaterThan(8));
    const arrival = requests.slice(0, 9);
    expect(arrival).toEqual([
      ...Array.from({ length: 7 }, () => 'POST /users'),
      'PUT /users/3/following/1',
      'PUT /users/4/following/1',
    ]);
    expect(reads()).toHaveLength(requests.length - 9);
    for (const read of reads()) {
      expect(read).toMatch(
        /^GET \/(users\/[1-9]|posts\/[1-3]|feeds\/3\?page=[1-3]|notifications\/[1-9])$/,
      );
    }
    stop.abort();
    await ended;
    expect(audience.reads).toBe(reads().length);
  });

  it('pauses without viewers, and continues with the next one', async () => {
    const { audience } = start(0);
    await eventually(() => expect(looks).toBeGreaterThan(2));
    expect(audience.reads).toBe(0);
    viewers = 1;
    await eventually(() => expect(audience.reads).toBeGreaterThan(2));
    viewers = 0;
    // The audience knows the number after its next queries.
    const before = looks;
    await eventually(() => expect(looks).toBeGreaterThan(before + 3), {
      timeout: 10_000,
    });
    const { reads: soFar } = audience;
    await eventually(() => expect(looks).toBeGreaterThan(before + 7), {
      timeout: 10_000,
    });
    expect(audience.reads).toBe(soFar);
  }, 20_000);

  it('continues when no service responds', async () => {
    const { audience, ended } = start();
    server.close().closeAllConnections();
    await eventually(() => expect(audience.reads).toBeGreaterThan(3));
    stop.abort();
    await expect(ended).resolves.toBeUndefined();
  });
});
