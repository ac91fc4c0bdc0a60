import type { INestApplication } from '@nestjs/common';
import {
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
} from 'nestjs-cache-invalidation';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import {
  afterEach,
  beforeEach,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
} from 'vitest';
import { HttpClient } from '../../sample-app/demo/http.client.js';
import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import type { Frame } from '../../sample-app/gateway/live/frame.js';
import { LatencyLog } from '../../sample-app/gateway/live/latency.log.js';
import { LiveFeed } from '../../sample-app/gateway/live/live.feed.js';
import { MessageTape } from '../../sample-app/gateway/live/message.tape.js';
import { RedisLink } from '../../sample-app/shared/operations/redis.link.js';
import { connectRaw, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { wire } from '../subscriber/setup.js';
import { Stage } from './stage.js';

const http = new HttpClient();
let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.close());

/** A reader at the other end, which reads when the test says so. */
class Reader extends Writable {
  readonly frames: Frame[] = [];
  #read: (() => void) | null = null;

  constructor(public isQuick: boolean) {
    super({ highWaterMark: 1 });
  }

  override _write(bytes: Buffer, _: string, read: () => void): void {
    this.frames.push(JSON.parse(String(bytes).slice('data: '.length)) as Frame);
    if (this.isQuick) read();
    else this.#read = read;
  }

  catchUp(): void {
    this.isQuick = true;
    this.#read?.();
  }

  get last(): Frame {
    return this.frames.at(-1)!;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

async function publish(app: INestApplication, times: number): Promise<void> {
  const publisher = app.get(InvalidationPublisher);
  for (let i = 1; i <= times; i++) await publisher.invalidateCustom('live', i);
}

describe('Sample app: LiveFeed', () => {
  it('sends everything to a new reader, then only new messages', async () => {
    const app = await stage.start('gateway', GatewayModule);
    await publish(app, 510);
    const reader = new Reader(true);
    await eventually(() => expect(app.get(MessageTape).total).toBe(510));
    app.get(LiveFeed).add(reader);
    expect(reader.frames).toHaveLength(1);
    expect(reader.last).toMatchObject({ total: 510 });
    expect(reader.last.messages.map(({ says }) => says)).toEqual(
      Array.from({ length: 500 }, (_, index) => `live:${index + 11}`),
    );
    expect(reader.last.services).toHaveLength(5);
    await publish(app, 1);
    await eventually(() => expect(reader.last.total).toBe(511));
    const all = reader.frames.slice(1).flatMap(({ messages }) => messages);
    expect(all.map(({ number }) => number)).toEqual([511]);
  });

  it('queues nothing for a slow reader, and skips messages in the middle', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const [slow, quick] = [new Reader(false), new Reader(true)];
    app.get(LiveFeed).add(slow);
    app.get(LiveFeed).add(quick);
    const { writableLength } = slow;
    await publish(app, 600);
    await eventually(() => expect(quick.last.total).toBe(600));
    expect(slow.writableLength).toBe(writableLength);
    expect(slow.frames).toHaveLength(1);
    slow.catchUp();
    await eventually(() => expect(slow.last.total).toBe(600));
    const numbers = slow.frames[1]!.messages.map(({ number }) => number);
    expect(numbers).toHaveLength(500);
    expect(numbers.at(-1)).toBe(600);
  });

  it('continues after a message with the timestamp of a leap second', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    const says = wire(1, { timestamp: '2016-12-31T23:59:60Z' });
    await connectRaw().publish(stage.channel, says);
    await eventually(() => expect(reader.last.total).toBe(1));
    const [message] = reader.last.messages;
    expect(message!.latency).toBeGreaterThan(0);
    expect(message!.says).toBe('user:1');
  });

  it('tells the region of a message of another one', async () => {
    stage.set('SAMPLE_APP_REGION', 'eu');
    const app = await stage.start('gateway', GatewayModule);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    await connectRaw().publish(stage.channel, wire(1, { region: 'us' }));
    await publish(app, 1);
    await eventually(() => expect(reader.last.total).toBe(2));
    const all = reader.frames.flatMap(({ messages }) => messages);
    expect(all.map(({ region }) => region)).toEqual(['us', null]);
  });

  it('truncates texts that are too long', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    const long = 'x'.repeat(60_000);
    const says = wire(long, { source_service: long });
    await connectRaw().publish(stage.channel, says);
    await eventually(() => expect(reader.last.total).toBe(1));
    const [message] = reader.last.messages;
    expect(message!.says).toMatch(/^user:x{194}…$/);
    expect(message!.source).toMatch(/^x{199}…$/);
  });

  it('shows messages published while its gateway is cut off', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    app.get(RedisLink).cut();
    await eventually(() =>
      expect(app.get(InvalidationSubscriber).status.state).toBe('disconnected'),
    );
    const { publisher } = await startApp({ channel: stage.channel });
    await publisher.invalidate('User', 'unheard');
    await eventually(() => expect(reader.last.total).toBe(1));
    expect(reader.last.messages[0]!.says).toBe('user:unheard');
    expect(app.get(InvalidationStats).snapshot().delivered).toBe(0);
  });

  it('measures no latency of replayed messages', async () => {
    const link = await RedisLink.open(inject('redisUrl'));
    onTestFinished(() => link.close());
    const app = await stage.start('gateway', GatewayModule, {
      linked: false,
      redisUrl: link.url,
    });
    const tape = app.get(MessageTape);
    const { publisher } = await startApp({ channel: stage.channel });
    await publisher.invalidate('User', 'before');
    await eventually(() => expect(tape.total).toBe(1));
    link.cut();
    await eventually(() =>
      expect(app.get(InvalidationSubscriber).status.state).toBe('disconnected'),
    );
    for (let id = 1; id <= 20; id++) await publisher.invalidate('User', id);
    link.restore();
    await eventually(() => expect(tape.total).toBe(21));
    expect(tape.after(0).map(({ late }) => late)).toEqual([
      null,
      ...Array.from({ length: 20 }, () => 'replayed'),
    ]);
    const points = await eventually(() => {
      const ended = tape.latenciesAfter(0);
      expect(sum(ended.map(({ late }) => late))).toBe(20);
      return ended;
    });
    expect(sum(points.map(({ count }) => count))).toBe(1);
  });

  it('measures no latency of messages that waited in an outbox', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const tape = app.get(MessageTape);
    const link = await RedisLink.open(inject('redisUrl'));
    onTestFinished(() => link.close());
    const { publisher, subscriber } = await startApp({
      channel: stage.channel,
      connection: link.url,
    });
    link.cut();
    await eventually(() => expect(subscriber.status.state).not.toBe('live'));
    const published = performance.now();
    await publisher.invalidate('User', 'held');
    await eventually(() =>
      expect(performance.now() - published).toBeGreaterThan(1_100),
    );
    link.restore();
    await eventually(() => expect(tape.total).toBe(1), { timeout: 10_000 });
    expect(tape.after(0)[0]).toMatchObject({ says: 'user:held', late: 'held' });
    await eventually(() =>
      expect(tape.latenciesAfter(0)).toMatchObject([
        { count: 0, late: 1, p50: null, p99: null },
      ]),
    );
  });

  it('reports the number of viewers', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const url = `${await app.getUrl()}/viewers`;
    expect((await http.mustSend('GET', url)).body).toEqual({ viewers: 0 });
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    expect((await http.mustSend('GET', url)).body).toEqual({ viewers: 1 });
    reader.destroy();
    await eventually(async () =>
      expect((await http.mustSend('GET', url)).body).toEqual({ viewers: 0 }),
    );
  });

  it('ends with its gateway', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    await app.close();
    expect(reader.writableEnded).toBe(true);
  });
});

describe('Sample app: old copies', () => {
  const row = { name: 'Grace', version: 1 };
  const path = '/users/7';

  /** A server in place of user-service, with one row that the test sets. */
  async function startOwner(): Promise<{ row: typeof row }> {
    const owner = { row };
    const server = createServer((_, response) =>
      response.end(JSON.stringify(owner.row)),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => server.close().closeAllConnections());
    const { port } = server.address() as AddressInfo;
    process.env['USER_SERVICE_URL'] = `http://127.0.0.1:${port}`;
    return owner;
  }

  it('are shown while a gateway that serves them is cut off, and until they are fresh', async () => {
    const owner = await startOwner();
    const app = await stage.start('gateway', GatewayModule);
    const { publisher } = await startApp({ channel: stage.channel });
    await http.mustSend('GET', (await app.getUrl()) + path);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    const copies = (): unknown =>
      reader.frames.findLast((frame) => frame.copies !== null)?.copies;

    app.get(RedisLink).cut();
    await eventually(() =>
      expect(app.get(InvalidationSubscriber).status.state).toBe('disconnected'),
    );
    owner.row = { name: 'Ada', version: 2 };
    await publisher.invalidate('User', 7);
    const copy = {
      gateway: 'gateway',
      key: 'user:7',
      owner: 'user-service',
      row: '“Ada”, version 2',
    };
    const served = '“Grace”, version 1';
    await eventually(() =>
      expect(copies()).toEqual([{ ...copy, served, isOld: true }]),
    );
    app.get(RedisLink).restore();
    await eventually(
      () =>
        expect(copies()).toEqual([{ ...copy, served: copy.row, isOld: false }]),
      { timeout: 15_000 },
    );
    reader.destroy();
    await eventually(() => expect(app.get(LiveFeed).viewers).toBe(0));
    const later = new Reader(true);
    app.get(LiveFeed).add(later);
    expect(later.last.copies).toEqual([]);
  }, 30_000);

  it('are not compared while no gateway is cut off', async () => {
    await startOwner();
    const app = await stage.start('gateway', GatewayModule);
    const { publisher } = await startApp({ channel: stage.channel });
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    await publisher.invalidate('User', 7);
    const url = await app.getUrl();
    await eventually(() => {
      expect(reader.last.total).toBe(1);
      // Longer than two comparisons of the copies.
      expect(reader.last.now - reader.frames[0]!.now).toBeGreaterThan(2_000);
    });
    const { body } = await http.mustSend('GET', `${url}/cache`);
    expect(body).toMatchObject({ hits: 0, misses: 0 });
    expect(reader.frames.flatMap(({ copies }) => copies ?? [])).toEqual([]);
  });
});

describe('Sample app: requests of the live page', () => {
  it.each([
    ['POST', '/services/gateway/shutdown', {}, 404],
    ['POST', '/services/nobody/cut', {}, 404],
    ['POST', '/services/constructor/cut', {}, 404],
    ['POST', '/services/social-service/cut', {}, 502],
    ['POST', '/services/gateway/batch', { keys: [] }, 400],
    ['POST', '/services/gateway/batch', { keys: 'user:1' }, 400],
    ['POST', '/services/gateway/batch', { keys: ['no key'] }, 400],
    ['POST', '/services/gateway/pattern', { pattern: '' }, 400],
    ['POST', '/services/gateway/pattern', { pattern: 'a', more: 1 }, 400],
    ['PUT', '/users/x', {}, 400],
  ] as const)(
    '%s %s %j responds with %i and a message',
    async (method, path, content, status) => {
      const app = await stage.start('gateway', GatewayModule);
      const answer = await http.send<{ message: unknown }>(
        method,
        (await app.getUrl()) + path,
        content,
      );
      expect(answer.status).toBe(status);
      expect(answer.body.message).toBeTruthy();
    },
  );

  it.each(['/page/nothing.js', '/page/..%2flive%2fframe.js', '/page/toString'])(
    'responds with 404 to %s',
    async (path) => {
      const app = await stage.start('gateway', GatewayModule);
      expect((await fetch((await app.getUrl()) + path)).status).toBe(404);
    },
  );

  it.each(['readme', 'guide', 'guarantees', 'operations'])(
    'serves the page %s of the package',
    async (page) => {
      const app = await stage.start('gateway', GatewayModule);
      const answer = await fetch(`${await app.getUrl()}/docs/${page}`);
      expect(answer.headers.get('content-type')).toBe(
        'text/plain; charset=utf-8',
      );
      expect(await answer.text()).toMatch(/^# /);
    },
  );

  it.each(['nothing', 'toString', '..%2fpackage.json'])(
    'has no page %s of the package',
    async (page) => {
      const app = await stage.start('gateway', GatewayModule);
      const { status } = await fetch(`${await app.getUrl()}/docs/${page}`);
      expect(status).toBe(404);
    },
  );

  it('are rejected when controls are disabled', async () => {
    const app = await stage.start('gateway', GatewayModule, { linked: false });
    const url = await app.getUrl();
    const { body } = await http.mustSend('GET', `${url}/state`);
    expect(body).toMatchObject({ link: null, health: { state: 'live' } });
    const cut = await http.send('POST', `${url}/services/gateway/cut`);
    expect(cut.status).toBe(404);
  });
});

describe('Sample app: RedisLink', () => {
  it('connects to the same database with the same user', async () => {
    const link = await RedisLink.open('redis://ann:secret@localhost/2');
    const { port } = new URL(link.url);
    expect(link.url).toBe(`redis://ann:secret@127.0.0.1:${port}/2`);
    await link.close();
  });

  it('can be cut and restored', async () => {
    const link = await RedisLink.open(inject('redisUrl'));
    const client = connectRaw(link.url);
    expect(await client.ping()).toBe('PONG');
    let losses = 0;
    client.on('close', () => losses++);
    link.cut();
    await eventually(() => expect(losses).toBeGreaterThan(1));
    link.restore();
    expect(await client.ping()).toBe('PONG');
    await link.close();
  });
});

describe('Sample app: LatencyLog', () => {
  it('summarizes each second with messages', () => {
    const log = new LatencyLog();
    for (let ms = 1; ms <= 100; ms++) log.record(10_500, ms);
    log.record(12_001, 0);
    expect(log.after(0, 12_999)).toEqual([
      {
        second: 10,
        count: 100,
        late: 0,
        p50: expect.closeTo(50, 0),
        p99: expect.closeTo(99, 0),
      },
    ]);
    expect(log.after(10, 13_000)).toMatchObject([{ second: 12, count: 1 }]);
    expect(log.after(12, 20_000)).toEqual([]);
  });

  it('counts late messages without measuring them', () => {
    const log = new LatencyLog();
    log.record(10_100, 1);
    for (let i = 0; i < 1_000; i++) log.recordLate(10_500);
    log.recordLate(11_000);
    expect(log.after(0, 12_000)).toEqual([
      {
        second: 10,
        count: 1,
        late: 1_000,
        p50: expect.closeTo(1, 1),
        p99: expect.closeTo(1, 1),
      },
      { second: 11, count: 0, late: 1, p50: null, p99: null },
    ]);
  });

  it('forgets seconds older than the page shows', () => {
    const log = new LatencyLog();
    for (let second = 1; second <= 500; second++) log.record(second * 1_000, 1);
    expect(log.after(0, 501_000)).toHaveLength(120);
    expect(log.after(499, 501_000)).toHaveLength(1);
  });
});
