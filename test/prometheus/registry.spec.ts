import { Controller, Get, Header, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  CacheInvalidationModule,
  InvalidationConfigurationError,
  InvalidationPublisher,
} from 'nestjs-cache-invalidation';
import {
  CacheInvalidationPrometheusModule,
  InjectMetricsRegistry,
} from 'nestjs-cache-invalidation/prometheus';
import {
  collectDefaultMetrics,
  Counter,
  register,
  Registry,
  type RegistryContentType,
} from 'prom-client';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { uniqueChannel } from '../support/app.js';
import { scrape, startMetered } from './metered.app.js';

const SERVICE = { service: 'users' };

function settings(serviceName = 'users') {
  return {
    connection: inject('redisUrl'),
    channel: uniqueChannel(),
    serviceName,
  };
}

@Controller('metrics')
class MetricsController {
  constructor(@InjectMetricsRegistry() readonly registry: Registry) {}

  @Get()
  @Header('content-type', Registry.PROMETHEUS_CONTENT_TYPE)
  metrics(): Promise<string> {
    return this.registry.metrics();
  }
}

describe('Prometheus: own registry', () => {
  it('is injected into a controller', async () => {
    const module = await Test.createTestingModule({
      imports: [
        CacheInvalidationModule.forRoot(settings()),
        CacheInvalidationPrometheusModule.forRoot(),
      ],
      controllers: [MetricsController],
    }).compile();
    const app = module.createNestApplication({ forceCloseConnections: true });
    onTestFinished(() => app.close());
    await app.listen(0, '127.0.0.1');
    const response = await fetch(`${await app.getUrl()}/metrics`);
    expect(response.headers.get('content-type')).toBe(
      'text/plain; version=0.0.4; charset=utf-8',
    );
    expect(await response.text()).toContain(
      'cache_invalidation_published_total{service="users"} 0',
    );
    // The default registry of prom-client stays unchanged.
    expect(register.getMetricsAsArray()).toEqual([]);
  });

  it('is separate in each application of one module', async () => {
    @Module({
      imports: [
        CacheInvalidationModule.forRoot(settings()),
        CacheInvalidationPrometheusModule.forRoot(),
      ],
      providers: [MetricsController],
    })
    class AppModule {}

    const start = async () => {
      const app = await NestFactory.createApplicationContext(AppModule, {
        logger: false,
        abortOnError: false,
      });
      onTestFinished(() => app.close());
      return app;
    };
    const [one, other] = [await start(), await start()];
    await one.get(InvalidationPublisher).invalidate('User', 1);
    const published = async (app: typeof one) =>
      (await scrape(app.get(MetricsController).registry)).value(
        'published_total',
      );
    expect(await published(one)).toBe(1);
    expect(await published(other)).toBe(0);
  });

  it('finds a module that is not global', async () => {
    const registry = new Registry();
    const library = CacheInvalidationModule.forRoot({
      ...settings(),
      isGlobal: false,
    });

    @Module({ imports: [library] })
    class Feature {}

    const module = await Test.createTestingModule({
      imports: [
        Feature,
        CacheInvalidationPrometheusModule.forRoot({ registry }),
      ],
    }).compile();
    onTestFinished(() => module.close());
    await module.init();
    expect((await scrape(registry)).value('published_total', SERVICE)).toBe(0);
  });

  it('is rejected without CacheInvalidationModule', async () => {
    const module = await Test.createTestingModule({
      imports: [CacheInvalidationPrometheusModule.forRoot()],
    }).compile();
    onTestFinished(() => module.close());
    const error = await module.init().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    expect(error).toMatchObject({
      message: expect.stringContaining('CacheInvalidationModule is missing'),
    });
  });
});

describe('Prometheus: shared registry', () => {
  it('separates applications by their service', async () => {
    const registry = new Registry();
    const users = await startMetered({ registry, serviceName: 'users' });
    const posts = await startMetered({ registry, serviceName: 'posts' });
    await users.publisher.invalidate('User', 1);
    await posts.publisher.invalidate('Post', 1);
    await posts.publisher.invalidate('Post', 2);
    const both = await scrape(registry);
    const name = 'publish_latency_seconds_count';
    expect(both.value('published_total', SERVICE)).toBe(1);
    expect(both.value('published_total', { service: 'posts' })).toBe(2);
    expect(both.value(name, SERVICE)).toBe(1);
    expect(both.value(name, { service: 'posts' })).toBe(2);
    expect(new Set(both.names).size).toBe(both.names.length);
  });

  it('removes an application that was closed, and is empty after the last', async () => {
    const registry = new Registry();
    const mine = new Counter({
      name: 'mine',
      help: '.',
      registers: [registry],
    });
    const users = await startMetered({ registry, serviceName: 'users' });
    const posts = await startMetered({ registry, serviceName: 'posts' });
    await users.close();
    const left = await scrape(registry);
    expect(left.text).not.toContain('service="users"');
    expect(left.value('published_total', { service: 'posts' })).toBe(0);
    await posts.close();
    expect(registry.getMetricsAsArray()).toEqual([mine]);
  });

  it('rejects a second application of a service until the first is closed', async () => {
    const registry = new Registry();
    const first = await startMetered({ registry, serviceName: 'users' });
    await first.publisher.invalidate('User', 1);
    const module = await Test.createTestingModule({
      imports: [
        CacheInvalidationModule.forRoot(settings('users')),
        CacheInvalidationPrometheusModule.forRoot({ registry }),
      ],
    }).compile();
    const error = await module.init().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    expect(error).toMatchObject({
      message: expect.stringContaining('those of a "users" already'),
    });
    // The end of this module must not remove the metrics of the first one.
    await module.close();
    expect((await scrape(registry)).value('published_total', SERVICE)).toBe(1);

    await first.close();
    await startMetered({ registry, serviceName: 'users' });
    expect((await scrape(registry)).value('published_total', SERVICE)).toBe(0);
  });

  it('rejects a foreign metric with the same name, and adds none', async () => {
    const registry = new Registry();
    const name = 'cache_invalidation_latency_seconds';
    const other = new Counter({ name, help: '.', registers: [registry] });
    await expect(startMetered({ registry })).rejects.toThrow(
      `has a metric ${name} that is not of this module`,
    );
    expect(registry.getMetricsAsArray()).toEqual([other]);
  });

  it('is rejected at startup if invalid', async () => {
    const registry = { register } as unknown as Registry;
    await expect(startMetered({ registry })).rejects.toThrow(
      /^The metrics cannot be registered:\n  - registry: no Registry of prom-client\./,
    );
  });

  it('may be the default registry of prom-client, with the metrics of Node.js', async () => {
    onTestFinished(() => register.clear());
    collectDefaultMetrics();
    const app = await startMetered({ registry: register });
    const text = await register.metrics();
    expect(text).toContain('process_cpu_user_seconds_total');
    expect(text).toContain('cache_invalidation_published_total');
    await app.close();
    expect(await register.metrics()).not.toContain('cache_invalidation');
  });

  it('is filled again after resetMetrics()', async () => {
    const app = await startMetered();
    await app.publisher.invalidate('User', 1);
    app.registry.resetMetrics();
    expect((await app.scrape()).value('published_total')).toBe(1);
    expect((await app.scrape()).value('publish_latency_seconds_count')).toBe(1);
  });

  it('may be cleared while applications start and end', async () => {
    const registry = new Registry();
    const users = await startMetered({ registry, serviceName: 'users' });
    registry.clear();
    expect(await registry.metrics()).toBe('\n');
    const posts = await startMetered({ registry, serviceName: 'posts' });
    await users.close();
    const { value } = (await posts.scrape()).lines.find(
      ({ name }) => name === 'cache_invalidation_published_total',
    )!;
    expect(value).toBe(0);
    await posts.close();
    expect(registry.getMetricsAsArray()).toEqual([]);
  });

  it('may be OpenMetrics while applications start and end', async () => {
    const registry = new Registry<RegistryContentType>();
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const start = (serviceName: string) =>
      startMetered({ registry, serviceName });
    const users = await start('users');
    const published = (service: string) =>
      `cache_invalidation_published_total{service="${service}"} 0\n`;
    expect(await registry.metrics()).toContain(
      `# TYPE cache_invalidation_published counter\n${published('users')}`,
    );
    await start('posts');
    expect(await registry.metrics()).toContain(
      published('users') + published('posts'),
    );
    await users.close();
    expect(await registry.metrics()).toContain(
      `# TYPE cache_invalidation_published counter\n${published('posts')}`,
    );
  });
});
