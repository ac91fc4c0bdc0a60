import { Controller, Get, Module, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  HealthCheck,
  HealthCheckService,
  TerminusModule,
  type HealthCheckResult,
} from '@nestjs/terminus';
import {
  CacheInvalidationModule,
  InvalidationPublisher,
  type CacheInvalidationModuleOptions,
} from 'nestjs-cache-invalidation';
import { CacheInvalidationHealthIndicator } from 'nestjs-cache-invalidation/terminus';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import { patient } from '../subscriber/setup.js';

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly invalidations: CacheInvalidationHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.invalidations.isHealthy()]);
  }

  @Get('named')
  @HealthCheck()
  named(): Promise<HealthCheckResult> {
    return this.health.check([() => this.invalidations.isHealthy('caches')]);
  }

  @Get('ready')
  @HealthCheck()
  ready(@Query('timeout') timeout?: string): Promise<HealthCheckResult> {
    return this.health.check([
      () =>
        timeout === undefined
          ? this.invalidations.isReady()
          : this.invalidations.isReady('caches', { timeout: Number(timeout) }),
    ]);
  }
}

@Module({
  imports: [TerminusModule.forRoot({ logger: false })],
  controllers: [HealthController],
  providers: [CacheInvalidationHealthIndicator],
})
class HealthModule {}

interface Served {
  readonly publisher: InvalidationPublisher;
  /** Response to a load balancer. */
  ask(path?: string): Promise<[status: number, body: HealthCheckResult]>;
}

async function serve(
  options: Partial<CacheInvalidationModuleOptions> = {},
): Promise<Served> {
  const given = {
    connection: inject('redisUrl'),
    channel: uniqueChannel(),
    serviceName: 'test-service',
    ...options,
  };
  const imports = [CacheInvalidationModule.forRoot(given), HealthModule];
  @Module({ imports })
  class AppModule {}

  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  onTestFinished(() => app.close());
  const url = `${await app.getUrl()}/health`;
  return {
    publisher: app.get(InvalidationPublisher),
    ask: async (path = '') => {
      const response = await fetch(url + path);
      return [response.status, (await response.json()) as HealthCheckResult];
    },
  };
}

async function proxied(url = inject('redisUrl')): Promise<Proxy> {
  const proxy = await startProxy(Number(new URL(url).port));
  onTestFinished(() => proxy.close());
  return proxy;
}

/** Short intervals, so that changes of Redis are noticed quickly. */
const QUICK = {
  heartbeatInterval: 50,
  heartbeatTimeout: 200,
  startupTimeout: 1,
};

/** A response with status 200 and one healthy indicator. */
const well = (details: object, key = 'cache-invalidation') => [
  200,
  {
    status: 'ok',
    info: { [key]: expect.objectContaining({ status: 'up', ...details }) },
    error: {},
    details: { [key]: expect.objectContaining({ status: 'up', ...details }) },
  },
];

const ill = (details: object, key = 'cache-invalidation') => [
  503,
  expect.objectContaining({
    status: 'error',
    info: {},
    error: { [key]: expect.objectContaining({ status: 'down', ...details }) },
  }),
];

describe('CacheInvalidationHealthIndicator: health check', () => {
  it('responds with 200 and all details', async () => {
    const { ask } = await serve();

    const [status, { status: overall, details }] = await ask();

    expect([status, overall]).toEqual([200, 'ok']);
    expect(details).toEqual({
      'cache-invalidation': {
        status: 'up',
        state: 'live',
        reason: null,
        staleness: expect.any(Number),
        regions: {},
        sources: {},
        lag: 0,
        outbox: 0,
      },
    });
    expect(await ask('/named')).toEqual(well({ state: 'live' }, 'caches'));
  });

  it('responds with 503 while Redis is cut off', async () => {
    const proxy = await proxied();
    const { ask } = await serve({ connection: proxy.url, ...QUICK });
    await eventually(async () => expect(await ask()).toEqual(well({})));

    proxy.swallow();
    proxy.cut();

    await eventually(
      async () => expect(await ask()).toEqual(ill({ state: 'disconnected' })),
      patient,
    );
    proxy.pass();
    await eventually(
      async () => expect(await ask()).toEqual(well({ state: 'live' })),
      patient,
    );
  });

  itOnRedisServer(
    'responds with 200 and degraded while messages wait for Redis',
    async () => {
      const server = await startServer({ real: true });
      const { ask, publisher } = await serve({ connection: server.url });
      const raw = connectRaw(server.url);
      await raw.config('SET', 'min-replicas-to-write', '1');

      await publisher.invalidateUser(1);

      const [status, { status: overall, details }] = await ask();
      expect([status, overall]).toEqual([200, 'degraded']);
      expect(details).toEqual({
        'cache-invalidation': expect.objectContaining({
          status: 'degraded',
          state: 'live',
          outbox: 1,
        }),
      });
      await raw.config('SET', 'min-replicas-to-write', '0');
      await eventually(
        async () => expect(await ask()).toEqual(well({ outbox: 0 })),
        patient,
      );
    },
  );

  it('responds with 200 when the module is disabled', async () => {
    const { ask } = await serve({ enabled: false });

    expect(await ask()).toEqual(
      well({ state: 'disabled', staleness: null, reason: null }),
    );
    expect(await ask('/ready')).toEqual(well({ state: 'disabled' }));
  });
});

describe('CacheInvalidationHealthIndicator: readiness check', () => {
  it('responds with 503 until the instance was live once, and with 200 from then on', async () => {
    const proxy = await proxied();
    proxy.swallow();
    const { ask } = await serve({ connection: proxy.url, ...QUICK });

    const unheard = ill({ state: 'connecting', staleness: null });
    expect(await ask('/ready')).toEqual(unheard);
    expect(await ask()).toEqual(unheard);

    proxy.pass();
    await eventually(
      async () => expect(await ask('/ready')).toEqual(well({ state: 'live' })),
      patient,
    );
    proxy.swallow();
    proxy.cut();
    await eventually(
      async () => expect(await ask()).toEqual(ill({ state: 'disconnected' })),
      patient,
    );
    expect(await ask('/ready')).toEqual(well({ state: 'disconnected' }));
  });

  it('waits for readiness up to its timeout', async () => {
    const proxy = await proxied();
    proxy.swallow();
    const { ask } = await serve({ connection: proxy.url, ...QUICK });

    expect(await ask('/ready?timeout=20')).toEqual(
      ill({ state: 'connecting' }, 'caches'),
    );
    const waiting = ask('/ready?timeout=15000');
    await eventually(() => expect(proxy.swallowed).toBeGreaterThan(0));
    proxy.pass();

    expect(await waiting).toEqual(well({ state: 'live' }, 'caches'));
  });
});
