import { once } from 'node:events';
import { connect } from 'node:net';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Type } from '@nestjs/common';
import { expect, it, onTestFinished, vi } from 'vitest';
import { ContentServiceModule } from '../../sample-app/content-service/content-service.module.js';
import { Printer } from '../../sample-app/demo/printer.js';
import { LongLink } from '../../sample-app/demo/regions/long.link.js';
import {
  RegionsDemo,
  type RegionsPlace,
} from '../../sample-app/demo/regions/regions.demo.js';
import {
  REGIONS,
  type Region,
} from '../../sample-app/demo/regions/regions.network.js';
import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import type { ServiceName } from '../../sample-app/shared/services.js';
import { UserServiceModule } from '../../sample-app/user-service/user-service.module.js';
import { startRedis } from '../support/redis.js';
import { Stage } from './stage.js';

// As the processes of the demo have it.
vi.hoisted(() => (process.env['SAMPLE_APP_SOURCE'] = 'off'));

const SERVICES = [
  ['us', 'user-service', UserServiceModule],
  ['eu', 'content-service', ContentServiceModule],
  ['eu', 'gateway', GatewayModule],
  ['us', 'gateway', GatewayModule],
] as const satisfies [Region, ServiceName, Type][];

const HEARTBEAT_MS = '500';

/** The network of the demo, with its services in this process. */
class RegionsStage implements RegionsPlace {
  readonly #stage = new Stage();
  readonly #urls = new Map<string, string>();
  readonly #links = new Map<Region, LongLink>();
  readonly #closing: (() => Promise<void>)[] = [];

  readonly failure = new Promise<never>(() => undefined);

  get instances(): string[] {
    return [...this.#urls.keys()];
  }

  urlOf(region: Region, service: ServiceName): string {
    return this.#urls.get(`${region}/${service}`)!;
  }

  async start(): Promise<void> {
    const redisUrls = new Map<Region, string>();
    for (const region of REGIONS) {
      const redis = await startRedis();
      const link = new LongLink(redis.port, 40);
      await link.open();
      this.#closing.push(
        () => link.close(),
        () => redis.stop(),
      );
      this.#links.set(region, link);
      redisUrls.set(region, redis.url);
    }
    this.#stage.set('CACHE_INVALIDATION_HEARTBEAT_INTERVAL', HEARTBEAT_MS);
    this.#stage.set('CACHE_INVALIDATION_HEARTBEAT_TIMEOUT', HEARTBEAT_MS);
    for (const [region, service, module] of SERVICES) {
      const source = region === 'eu' ? 'us' : 'eu';
      this.#stage.set('SAMPLE_APP_REGION', region);
      this.#stage.set(
        'SAMPLE_APP_SOURCES',
        `${source}=${this.#links.get(source)!.url}`,
      );
      const app = await this.#stage.start(service, module, {
        linked: false,
        redisUrl: redisUrls.get(region)!,
      });
      this.#urls.set(`${region}/${service}`, await app.getUrl());
    }
  }

  async stop(): Promise<void> {
    await this.#stage.close();
    for (const close of this.#closing) await close();
  }

  cut(): void {
    for (const link of this.#links.values()) link.cut();
  }

  heal(): void {
    for (const link of this.#links.values()) link.heal();
  }
}

/** The demo, and what it prints. */
function demoOn(onText: (text: string) => void) {
  const output = new Writable({
    decodeStrings: false,
    write(text: string, _, done) {
      onText(text);
      done();
    },
  });
  return new RegionsDemo(
    { verbose: false },
    new Printer(output as unknown as NodeJS.WriteStream),
    new RegionsStage(),
  );
}

it('tells the story of two regions, and every claim holds', async () => {
  let text = '';
  const demo = demoOn((more) => (text += more));
  const isRight = await demo.run(new AbortController().signal);
  expect(text).not.toContain('WRONG');
  expect(isRight).toBe(true);
  expect(text).toMatch(/eu writes, until us reads it +\d/);
  expect(text).toMatch(/health of eu +degraded .*blind to us for \d+ s/);
  expect(text).toContain('20 of 20 copies are old in the other region');
  expect(text).toMatch(/150 messages replayed to eu +[\d.,]+ ms/);
  expect(text).toMatch(/health of eu +up .*us heard/);
  expect(text).toMatch(/20 rows read in both regions .* 0 differ/);
}, 60_000);

it('ends at once when it is stopped during the cut', async () => {
  const stop = new AbortController();
  let text = '';
  const demo = demoOn((more) => {
    text += more;
    if (more.includes('is cut')) stop.abort();
  });
  expect(await demo.run(stop.signal)).toBe(false);
  expect(text).not.toContain('Writes in both regions');
}, 60_000);

it('passes bytes in order after their time, and those of a cut after it', async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const link = new LongLink(redis.port, 20);
  await link.open();
  onTestFinished(() => link.close());
  const client = connect(Number(new URL(link.url).port), '127.0.0.1');
  onTestFinished(() => void client.destroy());
  client.setEncoding('utf8');
  let heard = '';
  client.on('data', (text: string) => (heard += text));
  const begun = performance.now();
  client.write('ECHO 1\r\n');
  client.write('ECHO 2\r\n');
  while (!heard.includes('2')) await once(client, 'data');
  expect(performance.now() - begun).toBeGreaterThanOrEqual(39);
  expect(heard).toBe('$1\r\n1\r\n$1\r\n2\r\n');
  link.cut();
  client.write('ECHO 3\r\n');
  await delay(100);
  expect(heard).not.toContain('3');
  link.heal();
  while (!heard.includes('3')) await once(client, 'data');
});
