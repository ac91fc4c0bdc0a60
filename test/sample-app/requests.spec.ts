import type { INestApplication } from '@nestjs/common';
import { once } from 'node:events';
import {
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { text } from 'node:stream/consumers';
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { CommunicationServiceModule } from '../../sample-app/communication-service/communication-service.module.js';
import { HttpClient } from '../../sample-app/demo/http.client.js';
import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import { UserServiceModule } from '../../sample-app/user-service/user-service.module.js';
import { eventually } from '../support/eventually.js';
import { Stage } from './stage.js';

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  /** Parsed if it is JSON. */
  readonly body: unknown;
}

const JSON_TYPE = { 'content-type': 'application/json' };

let stage: Stage;
let gateway: string;
let users: string;
let notifications: string;
let userId: number;

beforeAll(async () => {
  stage = new Stage();
  const urlOf = async (app: Promise<INestApplication>): Promise<string> =>
    (await app).getUrl();
  users = await urlOf(stage.start('user-service', UserServiceModule));
  notifications = await urlOf(
    stage.start('communication-service', CommunicationServiceModule),
  );
  gateway = await urlOf(stage.start('gateway', GatewayModule));
  const created = await new HttpClient().mustSend<{ id: number }>(
    'POST',
    `${users}/users`,
    { name: 'Grace' },
  );
  userId = created.body.id;
}, 60_000);

afterAll(() => stage.close());

/** Unlike `fetch`, this sets every header: also those that a browser alone may set. */
async function open(
  method: string,
  url: string,
  headers: OutgoingHttpHeaders = {},
  body?: string,
): Promise<IncomingMessage> {
  const sent = request(url, { method, headers, agent: false });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

async function send(...given: Parameters<typeof open>): Promise<Answer> {
  const response = await open(...given);
  const { statusCode: status, headers } = response;
  const said = await text(response);
  const isJson = headers['content-type']?.startsWith('application/json');
  const body: unknown = isJson ? JSON.parse(said) : said;
  return { status, headers, body };
}

/** The JSON that Nest makes of a refusal. */
function refusal(statusCode: number, message: RegExp): object {
  return {
    status: statusCode,
    body: {
      statusCode,
      message: expect.stringMatching(message) as string,
      error: expect.any(String) as string,
    },
  };
}

const rename = (
  headers: OutgoingHttpHeaders,
  method = 'PUT',
): Promise<Answer> =>
  send(method, `${gateway}/users/${userId}`, headers, '{"name":"Ada"}');

describe('Sample app: requests that change something', () => {
  it('are accepted from programs and from the own page', async () => {
    const origin = { origin: gateway };
    const own = { ...origin, 'sec-fetch-site': 'same-origin' };
    for (const headers of [{}, origin, own]) {
      const answer = await rename({ ...JSON_TYPE, ...headers });
      expect(answer).toMatchObject({ status: 200, body: { name: 'Ada' } });
    }
    const type = { 'content-type': 'Application/JSON; charset=utf-8' };
    expect((await rename(type)).status).toBe(200);
  });

  it.each([
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
    [{ origin: 'http://evil.example' }],
    [{ origin: 'http://127.0.0.1:1' }],
    [{ origin: 'null' }],
    [{ origin: '' }],
  ])('are refused from another origin: %j', async (headers) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await rename({ ...JSON_TYPE, ...headers }, method);
      expect(answer).toMatchObject(refusal(403, /another origin/));
    }
  });

  it.each([
    [{}],
    [{ 'content-type': 'text/plain' }],
    [{ 'content-type': 'application/x-www-form-urlencoded' }],
    [{ 'content-type': 'text/plain; application/json' }],
    [{ 'content-type': 'application/jsonp' }],
  ])('are refused unless they are JSON: %j', async (headers) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await rename(headers, method);
      expect(answer).toMatchObject(refusal(415, /application\/json/));
    }
    const cut = await send('POST', `${gateway}/services/gateway/cut`, headers);
    expect(cut.status).toBe(415);
    const removal = await send('DELETE', `${users}/users/${userId}`, headers);
    expect(removal.status).toBe(415);
  });

  it('are refused by every service', async () => {
    for (const url of [users, notifications, gateway]) {
      const headers = { ...JSON_TYPE, origin: 'http://evil.example' };
      expect((await send('POST', `${url}/users`, headers)).status).toBe(403);
    }
  });

  it('are not reads, which other origins may send and not see', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', origin: 'http://a.b' };
    const answer = await send('GET', `${gateway}/users/${userId}`, headers);
    expect(answer.status).toBe(200);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  });
});

describe('Sample app: hosts', () => {
  afterEach(() => {
    delete process.env['SAMPLE_APP_HOSTS'];
  });

  const statusFor = async (host: string): Promise<number | undefined> =>
    (await send('GET', `${gateway}/health`, { host })).status;
  const port = (): string => new URL(gateway).port;

  it.each([['localhost'], ['127.0.0.1'], ['[::1]'], ['LOCALHOST']])(
    '%s is known, with the port of the service',
    async (name) => {
      expect(await statusFor(`${name}:${port()}`)).toBe(200);
      expect(await statusFor(`${name}:1`)).toBe(403);
      expect(await statusFor(name)).toBe(403);
    },
  );

  it.each([
    [''],
    ['evil.example'],
    ['localhost.evil.example'],
    ['a@localhost'],
  ])('"%s" is not', async (name) => {
    const host = `${name}:${port()}`;
    const answer = await send('GET', `${gateway}/`, { host });
    expect(answer).toMatchObject(refusal(403, /SAMPLE_APP_HOSTS/));
  });

  it('of SAMPLE_APP_HOSTS are known too, and are the origin of their page', async () => {
    process.env['SAMPLE_APP_HOSTS'] = 'demo.example, Other.example:8080';
    expect(await statusFor('demo.example')).toBe(200);
    expect(await statusFor('other.example:8080')).toBe(200);
    expect(await statusFor('other.example')).toBe(403);
    const own = { host: 'demo.example', origin: 'https://demo.example' };
    expect((await rename({ ...JSON_TYPE, ...own })).status).toBe(200);
    const other = { ...own, origin: 'https://other.example:8080' };
    expect((await rename({ ...JSON_TYPE, ...other })).status).toBe(403);
  });
});

describe('Sample app: text that no database can store', () => {
  it.each([
    ['/users/%00'],
    ['/users/1%00'],
    ['/users/-1'],
    ['/users/1e3'],
    ['/users/99999999999999999999'],
    ['/users/__proto__'],
    ['/posts/%00'],
    ['/feeds/1?page=%00'],
    ['/feeds/1?page=1&more=%00'],
    ['/notifications/%00'],
    ['/applied/%00'],
    ['/applied/nothing'],
    ['/page/%00'],
    ['/docs/%00'],
    ['/%00'],
    ['/?a=%00'],
  ])('is refused in %s', async (path) => {
    const answer = await send('GET', gateway + path);
    expect(answer).toMatchObject(refusal(400, /./));
  });

  it('is refused in the queries of a service', async () => {
    for (const ids of ['%00', '1,%00', '1,2%003', '', ',']) {
      const answer = await send('GET', `${users}/users?ids=${ids}`);
      expect(answer).toMatchObject(refusal(400, /./));
    }
  });

  it.each([
    ['PUT', '/users/:id', { name: 'a\0b' }],
    ['PUT', '/users/:id', { 'name\0': 'a' }],
    ['PUT', '/users/:id', { name: 'a\ud83d' }],
    ['PUT', '/users/%00', { name: 'a' }],
    ['POST', '/services/gateway/batch', { keys: ['user:1', 'user:\0'] }],
    ['POST', '/services/gateway/batch', { keys: ['user:\ud800'] }],
    ['POST', '/services/gateway/batch', { keys: ['user:', 'toString'] }],
    ['POST', '/services/gateway/batch', { keys: [null] }],
    ['POST', '/services/gateway/pattern', { pattern: 'user:\0*' }],
    ['POST', '/services/%00/cut', {}],
    ['POST', '/services/gateway/%00', {}],
  ])('is refused in %s %s %j', async (method, path, content) => {
    const url = gateway + path.replace(':id', `${userId}`);
    const answer = await send(method, url, JSON_TYPE, JSON.stringify(content));
    expect(answer.status).toBe(400);
    expect((answer.body as { message: unknown }).message).toBeTruthy();
  });

  it('is refused by the services themselves', async () => {
    for (const [method, url, body] of [
      ['POST', `${users}/users`, { name: '\0' }],
      ['PUT', `${users}/users`, { users: [{ id: userId, name: '\0' }] }],
      ['PUT', `${users}/users/${userId}`, { name: '\0' }],
      ['POST', `${notifications}/users/1/notifications`, { text: '\0' }],
    ] as const) {
      const answer = await send(method, url, JSON_TYPE, JSON.stringify(body));
      expect(answer).toMatchObject(refusal(400, /U\+0000/));
    }
  });

  it('is not the text \\u0000 or %2500, nor JSON that is deep', async () => {
    const written = await send(
      'PUT',
      `${gateway}/users/${userId}`,
      JSON_TYPE,
      JSON.stringify({ name: '\\u0000 %00 😀' }),
    );
    expect(written.body).toMatchObject({ name: '\\u0000 %00 😀' });
    const path = await send('GET', `${gateway}/page/%2500`);
    expect(path.status).toBe(404);
    const deep = '['.repeat(40_000) + ']'.repeat(40_000);
    const answer = await send(
      'POST',
      `${gateway}/services/gateway/batch`,
      JSON_TYPE,
      `{"keys":${deep}}`,
    );
    expect(answer.status).toBe(400);
  });

  it('is refused with JSON when a path cannot be decoded', async () => {
    const answer = await send('GET', `${gateway}/users/%ff`);
    expect(answer).toMatchObject(refusal(400, /./));
  });
});

describe('Sample app: the live page', () => {
  it.each([['/'], ['/page/main.js'], ['/docs/readme'], ['/viewers'], ['/no']])(
    'cannot be shown in a frame, and has the type that it says: %s',
    async (path) => {
      const { headers } = await send('GET', gateway + path);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['content-security-policy']).toBe(
        "default-src 'self'; frame-ancestors 'none'",
      );
    },
  );

  it('has at most 50 viewers; one that leaves frees its place', async () => {
    const events = `${gateway}/events`;
    const viewers = await Promise.all(
      Array.from({ length: 50 }, () => open('GET', events)),
    );
    onTestFinished(() => viewers.forEach((viewer) => viewer.destroy()));
    for (const viewer of viewers) {
      expect(viewer.statusCode).toBe(200);
      viewer.resume();
    }
    const late = await send('GET', events);
    expect(late).toMatchObject(refusal(503, /Too many pages/));
    expect(late.headers['retry-after']).toBe('5');
    // Other requests are served.
    const { body } = await send('GET', `${gateway}/viewers`);
    expect(body).toEqual({ viewers: 50 });

    viewers[7]!.destroy();
    const next = await eventually(async () => {
      const answer = await open('GET', events);
      expect(answer.statusCode).toBe(200);
      return answer;
    });
    viewers.push(next);
    expect((await send('GET', events)).status).toBe(503);
  });
});
