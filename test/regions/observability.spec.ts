import {
  InvalidationHealth,
  type InvalidationHealthReport,
} from 'nestjs-cache-invalidation';
import { CacheInvalidationPrometheusModule } from 'nestjs-cache-invalidation/prometheus';
import { Registry } from 'prom-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectRaw, LogRecorder, said, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { Scrape } from '../support/scrape.js';
import { Hand, journalOf, patient } from '../subscriber/setup.js';
import { startRegion, startRegions, type Region } from './regions.js';

const health = ({ context }: TestApp): InvalidationHealthReport =>
  context.get(InvalidationHealth).check();

const expectHealth = (
  app: TestApp,
  expected: Partial<InvalidationHealthReport>,
): Promise<void> =>
  eventually(() => expect(health(app)).toMatchObject(expected), patient);

async function linkTo({ redis }: Region): Promise<Proxy> {
  const proxy = await startProxy(redis.port);
  onTestFinished(() => proxy.close());
  return proxy;
}

function matching(logger: LogRecorder, text: string): string[] {
  return logger.lines.filter((line) => line.includes(text));
}

describe('Health of regions', () => {
  it('is degraded while a source is cut off, says so, and is up again', async () => {
    const [eu, us] = await startRegions('eu', 'us');
    const link = await linkTo(us!);
    const logger = new LogRecorder();
    const app = await eu!.app({ us: { connection: link.url } }, { logger });
    await expectHealth(app, {
      status: 'up',
      regions: { us: expect.any(Number) as number },
    });

    link.swallow();
    link.cut();

    await expectHealth(app, {
      status: 'degraded',
      state: 'live',
      reason: expect.stringMatching(/^blind to us for [1-9]\d* s$/) as string,
    });
    const { staleness, regions } = health(app);
    expect(staleness).toBeGreaterThan(2 * (100 + 500));
    expect(regions['us']).toBeGreaterThan(2 * (100 + 500));
    await eventually(() =>
      expect(matching(logger, 'Blind to region us for')).toHaveLength(1),
    );
    link.pass();
    await expectHealth(app, { status: 'up', reason: null });
    await eventually(() =>
      expect(matching(logger, 'Region us is heard again, after')).toHaveLength(
        1,
      ),
    );
    expect(logger.warnings.join()).toContain('Blind to region us');
    expect(matching(logger, 'Blind to region us')).toHaveLength(1);
  });

  it('is up at the start, and degraded where no relay ever proves anything', async () => {
    const eu = await startRegion('eu');
    const logger = new LogRecorder();
    const app = await eu.app(
      { us: {}, ap: {} },
      { logger, heartbeatTimeout: 1_000 },
    );
    expect(health(app)).toMatchObject({
      status: 'up',
      reason: null,
      staleness: null,
      regions: { us: null, ap: null },
    });

    await expectHealth(app, {
      status: 'degraded',
      state: 'live',
      reason: 'blind to us since the start, blind to ap since the start',
    });
    await eventually(() =>
      expect(logger.warnings).toContainEqual(
        expect.stringContaining('Blind to region ap since the start'),
      ),
    );
  });

  it('gives the reason of its own Redis first, and is down by that alone', async () => {
    const eu = await startRegion('eu');
    const link = await linkTo(eu);
    const app = await eu.app({ us: {} }, { connection: link.url });
    await expectHealth(app, { reason: 'blind to us since the start' });
    const hand = new Hand(eu.redis, eu.channel);
    await hand.say('before');
    await eventually(() => expect(app.messages).not.toHaveLength(0));

    await hand.whileAllAreAway((multi) => {
      multi.del(hand.journal);
      multi.set(hand.journal, 'no journal');
    });

    await expectHealth(app, {
      status: 'degraded',
      state: 'live',
      reason: expect.stringContaining('could not be read') as string,
    });
    link.swallow();
    link.cut();
    await expectHealth(app, {
      status: 'down',
      reason: expect.not.stringContaining('blind') as string,
    });
  });
});

describe('Metrics of regions', () => {
  it('show one holder, what it relays, and what it had to widen', async () => {
    const [eu, us] = await startRegions('eu', 'us');
    const link = await linkTo(us!);
    const instances = await Promise.all(
      ['a', 'b'].map(async (name) => {
        const registry = new Registry();
        const imports = [
          CacheInvalidationPrometheusModule.forRoot({ registry }),
        ];
        const app = await eu!.app(
          { us: { connection: link.url } },
          { serviceName: name, imports },
        );
        const value = async (metric: string) => {
          const scrape = new Scrape(await registry.metrics());
          return scrape.value(metric, { source: 'us', service: name });
        };
        return { app, value };
      }),
    );
    const values = (metric: string) =>
      Promise.all(instances.map(({ value }) => value(metric)));
    const sorted = async (metric: string) =>
      (await values(metric)).toSorted((a, b) => a - b);
    await eventually(async () => {
      expect(await sorted('relay_holder')).toEqual([0, 1]);
      // A relay without a record begins with "everything".
      expect(await sorted('relay_widened_total')).toEqual([0, 1]);
      for (const lag of await values('relay_lag_seconds')) {
        expect(lag).toBeLessThan(1);
      }
    }, patient);
    const holder = (await values('relay_holder')).indexOf(1);
    const before = (await values('relayed_total'))[holder]!;
    const writer = await us!.app();
    await writer.publisher.invalidate('User', 1);
    await eventually(async () =>
      expect((await values('relayed_total'))[holder]).toBe(before + 1),
    );
    expect((await values('relayed_total'))[1 - holder]).toBe(0);

    const { app } = instances[1 - holder]!;
    const widened = () =>
      app.messages.filter((each) => said(each) === '*').length;
    const widenedBefore = widened();
    link.swallow();
    link.cut();
    await writer.publisher.invalidate('User', 2);
    await connectRaw(us!.redis.url).del(journalOf(us!.channel));
    await writer.publisher.invalidate('User', 3);
    link.pass();

    await eventually(
      async () => expect((await values('relay_widened_total'))[holder]).toBe(2),
      patient,
    );
    await eventually(() => expect(widened()).toBe(widenedBefore + 1));
  });

  it('are infinite before a source is proven, and absent without regions', async () => {
    const eu = await startRegion('eu');
    const registry = new Registry();
    const imports = [CacheInvalidationPrometheusModule.forRoot({ registry })];
    await eu.app({ us: {} }, { imports });

    const scrape = new Scrape(await registry.metrics());
    expect(scrape.value('relay_lag_seconds', { source: 'us' })).toBe(Infinity);
    const relays = scrape.lines.filter(({ name }) => name.includes('relay'));
    expect(relays).toHaveLength(1);
  });
});
