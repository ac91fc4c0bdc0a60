import type { INestApplication } from '@nestjs/common';
import { InvalidationPublisher } from 'nestjs-cache-invalidation';
import { readFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import type { Browser, Locator, Page } from 'playwright-core';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
} from 'vitest';
import { CommunicationServiceModule } from '../../sample-app/communication-service/communication-service.module.js';
import { ContentServiceModule } from '../../sample-app/content-service/content-service.module.js';
import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import { LiveFeed } from '../../sample-app/gateway/live/live.feed.js';
import { ServicesWatch } from '../../sample-app/gateway/live/services.watch.js';
import { RedisLink } from '../../sample-app/shared/operations/redis.link.js';
import { UserServiceModule } from '../../sample-app/user-service/user-service.module.js';
import { UsersService } from '../../sample-app/user-service/users.service.js';
import { hasBrowser, launchBrowser } from '../support/browser.js';
import { eventually } from '../support/eventually.js';
import { startApp } from '../support/app.js';
import { startRedis } from '../support/redis.js';
import { Stage } from './stage.js';

async function packageJson(): Promise<{ name: string }> {
  const path = new URL('../../package.json', import.meta.url);
  return JSON.parse(await readFile(path, 'utf8')) as { name: string };
}

const LAPTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

let browser: Browser;
let stage: Stage;
let gateway: INestApplication;
let url: string;
let userId: number;
let page: Page;
let failures: Error[];
let complaints: string[];
let origins: Set<string>;

describe.runIf(hasBrowser)('Sample app in a browser', () => {
  beforeAll(async () => {
    browser = await launchBrowser();
    stage = new Stage();
    const users = await stage.start('user-service', UserServiceModule);
    await stage.start('communication-service', CommunicationServiceModule);
    gateway = await stage.start('gateway', GatewayModule);
    url = await gateway.getUrl();
    userId = (await users.get(UsersService).create({ name: 'Grace' })).id;
  }, 60_000);

  afterAll(async () => {
    await browser.close();
    await stage.close();
  });

  beforeEach(async () => {
    page = await browser.newPage({ viewport: LAPTOP });
    failures = [];
    complaints = [];
    origins = new Set();
    page.on('pageerror', (error) => failures.push(error));
    page.on('console', (line) => {
      if (line.type() !== 'log') complaints.push(line.text());
    });
    page.on('request', (request) => origins.add(new URL(request.url()).origin));
    await page.goto(url);
    await service('gateway').locator('[data-state=live]').waitFor();
  });

  afterEach(async () => {
    await page.close();
    if (failures.length > 0) throw new AggregateError(failures, 'in the page');
  });

  /** The row of a service. */
  function service(name: string): Locator {
    return page.locator('#services li', {
      has: page.getByRole('heading', { name, exact: true }),
    });
  }

  async function stateOf(name: string): Promise<string | null> {
    return service(name).locator('.badge').getAttribute('data-state');
  }

  /** Number that a row shows under a heading. */
  async function figure(name: string, label: string): Promise<number> {
    const text = await service(name)
      .locator('dl div', { hasText: label })
      .locator('dd')
      .textContent();
    return numberIn(text);
  }

  function proved(name: string): Promise<string | null> {
    return service(name)
      .locator('dl div', { hasText: 'Proved' })
      .locator('dd')
      .textContent();
  }

  function numberIn(text: string | null): number {
    return Number(text?.replaceAll(',', ''));
  }

  async function total(): Promise<number> {
    return numberIn(await page.locator('#total').textContent());
  }

  function result(): Promise<string | null> {
    return page.locator('#result').textContent();
  }

  function messages(): Promise<string[]> {
    return page.locator('#messages .says').allTextContents();
  }

  function fill(label: string, text: string): Promise<void> {
    return page.getByLabel(label, { exact: true }).fill(text);
  }

  /** Moves the focus to a button by the keyboard alone, and presses the button. */
  async function press(name: string | RegExp): Promise<void> {
    const button = page.getByRole('button', { name }).first();
    const isThere = (): Promise<boolean> =>
      button.evaluate((node) => node.matches(':focus-visible'));
    for (let tabs = 0; tabs < 60 && !(await isThere()); tabs++) {
      await page.keyboard.press('Tab');
    }
    expect(await isThere()).toBe(true);
    await page.keyboard.press('Enter');
  }

  describe('the live page', () => {
    it('shows the state of every service, and which is away', async () => {
      const seen = page.locator('#services .badge');
      await eventually(async () =>
        expect(
          await seen.evaluateAll((nodes) => nodes.map((n) => n.textContent)),
        ).toEqual(['● live', '● live', '– away', '– away', '● live']),
      );
      expect(await page.locator('#services li h3').allTextContents()).toEqual([
        'gateway',
        'user-service',
        'content-service',
        'social-service',
        'communication-service',
      ]);
      await eventually(async () =>
        expect(await page.locator('#connection').textContent()).toBe(
          'Connected',
        ),
      );
    });

    it('sends requests only to its gateway, and logs no error', async () => {
      await page.evaluate('document.fonts.ready');
      expect([...origins]).toEqual([url]);
      expect(complaints).toEqual([]);
    });

    it('names the package, and links to its documentation', async () => {
      const { name } = await packageJson();
      const links = await page
        .locator('.package a, footer a')
        .evaluateAll((nodes) =>
          nodes.map((node) => [node.textContent, node.getAttribute('href')]),
        );
      const npm = `https://www.npmjs.com/package/${name}`;
      expect(links).toEqual([
        [name, npm],
        ['README', 'docs/readme'],
        ['Guide', 'docs/guide'],
        ['Guarantees', 'docs/guarantees'],
        ['Operations', 'docs/operations'],
        ['npm', npm],
      ]);
      await page.getByRole('link', { name: 'Guide' }).click();
      await page.getByText(/^# /).waitFor();
    });

    it('shows the time since the last proof', async () => {
      await eventually(async () =>
        expect(await proved('gateway')).toMatch(/^[\d.]+ m?s ago$/),
      );
      expect(await proved('content-service')).toBe('–');
      expect(await page.locator('.columns').textContent()).toContain('Proved');
    });

    it('draws the connections of the services, with the same text for screen readers', async () => {
      const picture = page.getByRole('img', { name: /^Who talks to whom/ });
      const words = (): Promise<string | null> =>
        picture.getAttribute('aria-label');
      await eventually(async () =>
        expect(await words()).toContain(
          'gateway live, Redis up; user-service live, Redis up; content-service away, Redis unknown;',
        ),
      );
      expect(await picture.locator('text').allTextContents()).toEqual(
        expect.arrayContaining([
          'gateway',
          'user-service',
          'Redis',
          'channel: what changed',
          'journal: what was missed',
          'PostgreSQL: the rows',
        ]),
      );
      const ups = picture.locator('[data-link=up]');
      expect(await ups.count()).toBe(3);
      // The other services receive this message, which the gateway publishes.
      await gateway.get(InvalidationPublisher).invalidate('User', 'drawn');
      await picture.locator('.arrow').first().waitFor();
      await press('Cut user-service off from Redis');
      await eventually(async () => {
        expect(await words()).toContain('disconnected, cut off from Redis');
        expect(await ups.count()).toBe(2);
      });
      expect(await picture.locator('.cut').textContent()).toBe('✕ cut');
      await press('Restore the way of user-service to Redis');
      await eventually(async () => expect(await ups.count()).toBe(3), {
        timeout: 15_000,
      });
    });

    it('updates a user, and evicts its copy', async () => {
      await fill('User', String(userId));
      await press('Read');
      await eventually(async () => expect(await result()).toContain('version'));
      await press('Read');
      await eventually(async () => expect(await result()).toContain('in L1'));
      await press('Update');
      await eventually(async () => {
        expect(await result()).toContain('version 2');
        expect(await messages()).toContain(`user:${userId}`);
      });
      await press('Read');
      await eventually(async () =>
        expect(await result()).toContain('no cache'),
      );
      const users = page.locator('#caches tr', { hasText: 'gateway User' });
      await eventually(async () =>
        expect(await users.locator('td').allTextContents()).toEqual(
          expect.arrayContaining(['33 %', '1', '2']),
        ),
      );
    });

    it('shows the error of a service', async () => {
      await fill('User', '404');
      await press('Update');
      await eventually(async () => expect(await result()).toBe('No user 404.'));
    });

    it('publishes a pattern and a batch', async () => {
      await fill('Pattern', 'feed:1:*');
      await press('Publish the pattern');
      await eventually(async () =>
        expect(await result()).toBe(
          "The pattern was delivered to 4 connections, this page's among them.",
        ),
      );
      await fill('Keys', 'user:1, post:2,, a:1 ,b:2, c:3');
      await press('Publish the batch');
      // The user's list of notifications is published then, too.
      const others = async () =>
        (await messages()).filter((each) => !each.startsWith('notification:'));
      await eventually(async () =>
        expect((await others()).slice(0, 2)).toEqual([
          'user:1, post:2, a:1 and 2 more',
          'feed:1:*',
        ]),
      );
      expect(await result()).toContain('The batch was delivered to 4');
    });

    it('cuts off a service, restores it, and shows the replay', async () => {
      const name = 'communication-service';
      const replayed = await figure(name, 'Replayed');
      await press(`Cut ${name} off from Redis`);
      await eventually(async () =>
        expect(await stateOf(name)).toBe('disconnected'),
      );
      await fill('Keys', 'user:1');
      for (const delivered of [3, 3, 3]) {
        await page
          .locator('#result')
          .evaluate((node) => (node.textContent = ''));
        await press('Publish the batch');
        await eventually(async () =>
          expect(await result()).toContain(`${delivered} connections`),
        );
      }
      expect(await figure(name, 'Replayed')).toBe(replayed);
      await press(`Restore the way of ${name} to Redis`);
      await eventually(async () => {
        expect(await stateOf(name)).toBe('live');
        expect(await figure(name, 'Replayed')).toBe(replayed + 3);
      });
      expect(await service(name).locator('.past').textContent()).toMatch(
        /^live .+ → disconnected .+ → catching-up .+ → live /,
      );
    });

    it('shows an old copy while the gateway is cut off, and messages published meanwhile', async () => {
      const copies = page.locator('#copies');
      await fill('User', String(userId));
      await press('Read');
      await eventually(async () => expect(await result()).toContain('version'));
      const old = /“.+”, version \d+/;
      expect(await copies.isVisible()).toBe(false);
      await press('Cut gateway off from Redis');
      await eventually(async () =>
        expect(await stateOf('gateway')).toBe('disconnected'),
      );
      const before = await total();
      await press('Update');
      await eventually(async () => expect(await result()).toContain('now'));
      const row = /“.+”, version \d+/.exec(
        (await result())!.replace(' now', ''),
      );
      await eventually(async () => {
        expect(await total()).toBeGreaterThan(before);
        expect(await messages()).toContain(`user:${userId}`);
        expect(await copies.locator('tbody th').textContent()).toBe(
          `gateway user:${userId}`,
        );
      });
      const [served, widened] = await copies
        .locator('tbody td')
        .allTextContents();
      expect(served).toMatch(/^✕ old/);
      expect(old.exec(served!)![0]).not.toBe(row![0]);
      expect(widened).toMatch(/^the old copy too, for another \d+ s$/);
      await eventually(
        async () =>
          expect(await copies.locator('td').last().textContent()).toBe(
            `asked user-service: ${row![0]}`,
          ),
        { timeout: 15_000 },
      );
      await press('Restore the way of gateway to Redis');
      await eventually(
        async () =>
          expect(await copies.locator('td').first().textContent()).toBe(
            `● fresh ${row![0]}`,
          ),
        { timeout: 15_000 },
      );
      await eventually(async () =>
        expect(await stateOf('gateway')).toBe('live'),
      );
    }, 60_000);

    it('shows messages queued in an outbox', async () => {
      const name = 'user-service';
      await press(`Cut ${name} off from Redis`);
      await eventually(async () =>
        expect(await stateOf(name)).toBe('disconnected'),
      );
      await press('Publish the pattern');
      await eventually(async () => {
        expect(await result()).toContain('queued');
        expect(await figure(name, 'Outbox')).toBe(1);
      });
      const before = await total();
      await press(`Restore the way of ${name} to Redis`);
      await eventually(async () => {
        expect(await figure(name, 'Outbox')).toBe(0);
        // The pattern of users, and then that of the lists that name them.
        expect(await total()).toBe(before + 2);
        expect(await stateOf(name)).toBe('live');
      });
    });

    it('counts 5,000 messages, and keeps its size', async () => {
      const { publisher } = await startApp({ channel: stage.channel });
      const size = 'document.querySelectorAll("*").length';
      const before = await total();
      for (let burst = 0; burst < 5; burst++) {
        await Promise.all(
          Array.from({ length: 1_000 }, (_, index) =>
            publisher.invalidateCustom('flood', burst * 1_000 + index),
          ),
        );
      }
      await eventually(async () => expect(await total()).toBe(before + 5_000), {
        timeout: 20_000,
      });
      expect((await messages())[0]).toBe('flood:4999');
      expect(await page.locator('#messages li').count()).toBe(500);
      expect(await page.evaluate(size)).toBeLessThan(3_500);
      await eventually(async () =>
        expect(await page.locator('#plot').getAttribute('aria-label')).toMatch(
          /median .+ and 99th percentile/,
        ),
      );
    });

    it('has room for the message next to a long service name', async () => {
      const { publisher } = await startApp({
        channel: stage.channel,
        serviceName: `${'of-a-long-name-'.repeat(4)}service`,
      });
      await publisher.invalidateCustom('long', 1);
      await eventually(async () =>
        expect((await messages())[0]).toBe('long:1'),
      );
      const { width } = (await page
        .locator('#messages li .says')
        .first()
        .boundingBox())!;
      expect(width).toBeGreaterThan(80);
    });

    it('publishes 1,000 messages a second', async () => {
      const before = await total();
      await press('Publish 1,000 a second for 5 s');
      await eventually(async () => expect(await result()).toContain('5,000'));
      await press('Publish 1,000 a second for 5 s');
      await eventually(async () => expect(await result()).toContain('already'));
      await eventually(async () => expect(await total()).toBe(before + 5_000), {
        timeout: 20_000,
      });
    });

    it('shows messages from before it was opened', async () => {
      const { publisher } = await startApp({ channel: stage.channel });
      await publisher.invalidate('Probe', 'earlier');
      await eventually(async () =>
        expect((await messages())[0]).toBe('Probe:earlier'),
      );
      await page.clock.install({ time: Date.now() + 600_000 });
      await page.reload();
      await eventually(async () =>
        expect((await messages())[0]).toBe('Probe:earlier'),
      );
      await eventually(async () =>
        expect(await page.locator('#plot').getAttribute('aria-label')).toMatch(
          /median .+ and 99th percentile/,
        ),
      );
    });

    it('marks late messages, and draws no latency for them', async () => {
      const link = await RedisLink.open(inject('redisUrl'));
      onTestFinished(() => link.close());
      const { publisher, subscriber } = await startApp({
        channel: stage.channel,
        connection: link.url,
      });
      link.cut();
      await eventually(() => expect(subscriber.status.state).not.toBe('live'));
      const begun = performance.now();
      await publisher.invalidate('Probe', 'late');
      await eventually(() =>
        expect(performance.now() - begun).toBeGreaterThan(1_100),
      );
      const before = numberIn(await page.locator('#late').textContent());
      link.restore();
      await eventually(
        async () => {
          expect((await messages())[0]).toBe('Probe:late');
          expect(numberIn(await page.locator('#late').textContent())).toBe(
            before + 1,
          );
        },
        { timeout: 15_000 },
      );
      const latency = page.locator('#messages .latency').first();
      expect(await latency.textContent()).toMatch(/^held [\d.]+ s$/);
      expect(await page.locator('#plot .late title').last().textContent()).toBe(
        '1 replayed or held back',
      );
    });

    it('holds messages back while it is paused', async () => {
      const before = await total();
      await press('Pause');
      await gateway.get(InvalidationPublisher).invalidate('Probe', 'paused');
      await eventually(async () => expect(await total()).toBe(before + 1));
      expect(await messages()).not.toContain('Probe:paused');
      await press('Go on');
      expect(await messages()).toContain('Probe:paused');
    });

    it('stops its requests while it is hidden', async () => {
      const watch = gateway.get(ServicesWatch);
      expect(
        watch.after(0).some(({ state }) => typeof state === 'object'),
      ).toBe(true);
      await page.goto('about:blank');
      await eventually(() =>
        expect(watch.after(0).every(({ state }) => state === 'asked')).toBe(
          true,
        ),
      );
    });
  });

  describe('accessibility', () => {
    it('names every control', async () => {
      const unnamed = `[...document.querySelectorAll('button')].filter((button) =>
      !(button.ariaLabel ?? button.textContent).trim()).length`;
      const unlabelled = `[...document.querySelectorAll('input, select')].filter((input) =>
      input.labels.length === 0).length`;
      expect(await page.evaluate(unnamed)).toBe(0);
      expect(await page.evaluate(unlabelled)).toBe(0);
      expect(await page.locator('h1').count()).toBe(1);
      expect(await page.locator('html').getAttribute('lang')).toBe('en');
      expect(await page.title()).toBe('Cache invalidations, live');
      expect(
        await page.getByRole('img', { name: /messages|Latency/ }).count(),
      ).toBe(1);
    });

    it.each(['light', 'dark'] as const)(
      'is readable, %s',
      async (colorScheme) => {
        await page.emulateMedia({ colorScheme });
        const isDark = (await page.evaluate(BRIGHTNESS)) as number;
        expect(isDark < 0.2).toBe(colorScheme === 'dark');
        const faint = (await page.evaluate(FAINT)) as string[];
        expect(faint).toEqual([]);
      },
    );

    it.each([PHONE, { width: 320, height: 640 }, { width: 800, height: 900 }])(
      'does not scroll sideways at $width',
      async (viewport) => {
        await page.setViewportSize(viewport);
        const width = await page.evaluate(
          'document.documentElement.scrollWidth',
        );
        expect(width).toBe(viewport.width);
        // No text exceeds its box either.
        const wide = `[...document.querySelectorAll('button, select, h3, .badge')]
        .filter((node) => node.scrollWidth > node.clientWidth + 1)
        .map((node) => node.textContent)`;
        expect(await page.evaluate(wide)).toEqual([]);
      },
    );
  });

  it('reconnects when the gateway comes back', async () => {
    const port = Number(new URL(url).port);
    await gateway.close();
    await eventually(async () =>
      expect(await page.locator('#connection').textContent()).toContain(
        'does not answer',
      ),
    );
    expect(await stateOf('gateway')).toBe('asked');
    expect(await stateOf('user-service')).toBe('asked');
    gateway = await stage.start('gateway', GatewayModule, { port });
    await eventually(
      async () => {
        expect(await page.locator('#connection').textContent()).toBe(
          'Connected',
        );
        expect(await stateOf('gateway')).toBe('live');
      },
      { timeout: 15_000 },
    );
    await gateway.get(InvalidationPublisher).invalidate('Probe', 'again');
    await eventually(async () =>
      expect((await messages())[0]).toBe('Probe:again'),
    );
  });

  it('labels messages of other regions, and shows when each was last heard', async () => {
    const us = await startRedis();
    onTestFinished(() => us.stop());
    stage.set('SAMPLE_APP_REGION', 'eu');
    stage.set('CACHE_INVALIDATION_HEARTBEAT_INTERVAL', '300');
    stage.set('SAMPLE_APP_SOURCES', `us=${us.url}`);
    const relaying = await stage.start('content-service', ContentServiceModule);
    stage.set('SAMPLE_APP_REGION', '');
    stage.set('CACHE_INVALIDATION_HEARTBEAT_INTERVAL', '5000');
    onTestFinished(() => relaying.close());
    await eventually(
      async () =>
        expect(
          await service('content-service').locator('.past').textContent(),
        ).toMatch(/^us heard [\d.]+ (ms|s) ago/),
      { timeout: 15_000 },
    );
    expect(
      await service('gateway').locator('.past').textContent(),
    ).not.toContain('heard');
    const { publisher } = await startApp({
      connection: us.url,
      channel: stage.channel,
    });
    await publisher.invalidate('Probe', 'abroad');
    await eventually(async () =>
      expect((await messages())[0]).toBe('Probe:abroad'),
    );
    const label = (): Promise<string | null> =>
      page.locator('#messages .source').first().getAttribute('data-region');
    expect(await label()).toBe('us');
    await gateway.get(InvalidationPublisher).invalidate('Probe', 'at-home');
    await eventually(async () =>
      expect((await messages())[0]).toBe('Probe:at-home'),
    );
    expect(await label()).toBeNull();
  });

  it('is served once another page is closed, when there were too many', async () => {
    await page.goto('about:blank');
    const feed = gateway.get(LiveFeed);
    await eventually(() => expect(feed.viewers).toBe(0));
    const others = Array.from({ length: 50 }, () => new PassThrough().resume());
    for (const other of others) feed.add(other);
    await page.goto(url);
    await eventually(async () =>
      expect(await page.locator('#connection').textContent()).toContain(
        'too many viewers',
      ),
    );
    for (const other of others) other.destroy();
    await eventually(
      async () =>
        expect(await page.locator('#connection').textContent()).toBe(
          'Connected',
        ),
      { timeout: 15_000 },
    );
  });

  /** Relative luminance and contrast as WCAG 2 defines them. */
  const WCAG = `
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((channel) => {
      const part = channel / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (node) => {
    const color = getComputedStyle(node).backgroundColor;
    return channels(color)[3] === 0 ? backgroundOf(node.parentElement) : color;
  };`;

  const BRIGHTNESS = `(() => { ${WCAG} return luminance(backgroundOf(document.body)); })()`;

  const STATES = [
    'live',
    'degraded',
    'catching-up',
    'connecting',
    'disconnected',
    'stopped',
  ];

  /** Texts with a contrast below AA, including the badges of every state. */
  const FAINT = `(() => { ${WCAG}
  for (const state of ${JSON.stringify(STATES)}) {
    const badge = document.createElement('span');
    badge.className = 'badge';
    badge.dataset.state = badge.textContent = state;
    document.querySelector('#services').append(badge);
  }
  return [...document.querySelectorAll('body *')]
    .filter((node) => node.checkVisibility() && !node.closest('svg') &&
      [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .filter((node) => {
      const [a, b] = [getComputedStyle(node).color, backgroundOf(node)].map(luminance);
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    })
    .map((node) => node.textContent);
})()`;
});
