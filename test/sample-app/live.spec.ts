import type { INestApplication } from '@nestjs/common';
import { InvalidationPublisher } from 'nestjs-cache-invalidation';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { HttpClient } from '../../sample-app/demo/http.client.js';
import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import type { Frame } from '../../sample-app/gateway/live/frame.js';
import { LatencyLog } from '../../sample-app/gateway/live/latency.log.js';
import { LiveFeed } from '../../sample-app/gateway/live/live.feed.js';
import { RedisLink } from '../../sample-app/shared/operations/redis.link.js';
import { connectRaw } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { wire } from '../subscriber/setup.js';
import { Stage } from './stage.js';

const http = new HttpClient();
let stage: Stage;

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.close());

/** Somebody at the other end, who reads when told to. */
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

async function publish(app: INestApplication, times: number): Promise<void> {
  const publisher = app.get(InvalidationPublisher);
  for (let i = 1; i <= times; i++) await publisher.invalidateCustom('live', i);
}

describe('the feed of the live page', () => {
  it('tells all that there is at once, and then what is new', async () => {
    const app = await stage.start('gateway', GatewayModule);
    await publish(app, 60);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    expect(reader.frames).toHaveLength(1);
    expect(reader.last).toMatchObject({ total: 60 });
    expect(reader.last.messages.map(({ says }) => says)).toEqual(
      Array.from({ length: 50 }, (_, index) => `live:${index + 11}`),
    );
    expect(reader.last.services).toHaveLength(5);
    await publish(app, 1);
    await eventually(() => expect(reader.last.total).toBe(61));
    const all = reader.frames.slice(1).flatMap(({ messages }) => messages);
    expect(all.map(({ number }) => number)).toEqual([61]);
  });

  it('queues nothing for who reads slowly, and then leaves out the middle', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const [slow, quick] = [new Reader(false), new Reader(true)];
    app.get(LiveFeed).add(slow);
    app.get(LiveFeed).add(quick);
    const { writableLength } = slow;
    await publish(app, 500);
    await eventually(() => expect(quick.last.total).toBe(500));
    expect(slow.writableLength).toBe(writableLength);
    expect(slow.frames).toHaveLength(1);
    slow.catchUp();
    await eventually(() => expect(slow.last.total).toBe(500));
    const numbers = slow.frames[1]!.messages.map(({ number }) => number);
    expect(numbers).toHaveLength(50);
    expect(numbers.at(-1)).toBe(500);
  });

  it('goes on after a message that was said in a leap second', async () => {
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

  it('shows the beginning of what is too long to be read', async () => {
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

  it('ends with its gateway', async () => {
    const app = await stage.start('gateway', GatewayModule);
    const reader = new Reader(true);
    app.get(LiveFeed).add(reader);
    await app.close();
    expect(reader.writableEnded).toBe(true);
  });
});

describe('what the page asks for', () => {
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
    '%s %s %j answers %i and why',
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
    'has no %s',
    async (path) => {
      const app = await stage.start('gateway', GatewayModule);
      expect((await fetch((await app.getUrl()) + path)).status).toBe(404);
    },
  );

  it('is refused where nobody asked for controls', async () => {
    const app = await stage.start('gateway', GatewayModule, { linked: false });
    const url = await app.getUrl();
    const { body } = await http.mustSend('GET', `${url}/state`);
    expect(body).toMatchObject({ link: null, health: { state: 'live' } });
    const cut = await http.send('POST', `${url}/services/gateway/cut`);
    expect(cut.status).toBe(404);
  });
});

describe('the link to Redis', () => {
  it('leads to the same database as the same user', async () => {
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

describe('the log of latencies', () => {
  it('sums up each second in which there was something', () => {
    const log = new LatencyLog();
    for (let ms = 1; ms <= 100; ms++) log.record(10_500, ms);
    log.record(12_001, 0);
    expect(log.after(0, 12_999)).toEqual([
      {
        second: 10,
        count: 100,
        p50: expect.closeTo(50, 0),
        p99: expect.closeTo(99, 0),
      },
    ]);
    expect(log.after(10, 13_000)).toMatchObject([{ second: 12, count: 1 }]);
    expect(log.after(12, 20_000)).toEqual([]);
  });

  it('forgets what is older than the page shows', () => {
    const log = new LatencyLog();
    for (let second = 1; second <= 500; second++) log.record(second * 1_000, 1);
    expect(log.after(0, 501_000)).toHaveLength(120);
    expect(log.after(499, 501_000)).toHaveLength(1);
  });
});
