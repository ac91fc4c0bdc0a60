import { Injectable } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import {
  Cached,
  CallbackFailedError,
  entity,
  everything,
  InvalidatesCache,
  InvalidatesCachePattern,
  InvalidationConfigurationError,
  InvalidationHealth,
  InvalidationPublisher,
  InvalidationScope,
  InvalidationSubscriber,
  NearCacheFactory,
  OnInvalidation,
  type CacheInvalidationError,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { CacheAuditor } from 'nestjs-cache-invalidation/audit';
import { settled } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  connectRaw,
  LogRecorder,
  startApp as startOnRedis,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import { becomes, Hand, patient } from '../subscriber/setup.js';
import { startApp, type AppDescription } from '../testing/fakes/start-app.js';

@Injectable()
class Writers {
  @InvalidatesCache('User', (id: string) => id)
  @InvalidatesCache('Feed', (id: string) => id)
  async save(id: string): Promise<string> {
    return `saved ${id}`;
  }

  @InvalidatesCachePattern('user:*')
  async saveAll(): Promise<void> {}
}

@Injectable()
class Readers {
  loads = 0;

  @Cached('User', (id: string) => id)
  async find(_id: string): Promise<number> {
    return ++this.loads;
  }

  @OnInvalidation('User')
  evict(): void {}
}

const errorOf = async (work: () => unknown): Promise<unknown> => {
  try {
    return await work();
  } catch (error) {
    return error;
  }
};

describe('Role "subscriber"', () => {
  const start = (description: AppDescription = {}) =>
    startApp({ ...description, options: { role: 'subscriber' } });

  it('receives what others publish', async () => {
    const { app, broker } = await start({ providers: [Readers] });
    const readers = app.get(Readers);
    expect([await readers.find('1'), await readers.find('1')]).toEqual([1, 1]);
    broker.emit(entity('User', 1));
    await settled(app);
    expect(await readers.find('1')).toBe(2);
  });

  it.each<[string, (publisher: InvalidationPublisher) => unknown]>([
    ['invalidate', (publisher) => publisher.invalidate('User', 1)],
    ['update', (publisher) => publisher.update('User', 1)],
    ['invalidateCustom', (publisher) => publisher.invalidateCustom('a', 1)],
    ['invalidateBatch', (publisher) => publisher.invalidateBatch(['user:1'])],
    ['invalidatePattern', (publisher) => publisher.invalidatePattern('user:*')],
    ['invalidateAll', (publisher) => publisher.invalidateAll()],
    ['publish', (publisher) => publisher.publish(everything())],
    ['prepare', (publisher) => publisher.prepare(everything())],
    [
      'publishStored',
      (publisher) => publisher.publishStored({ messageId: 'a', text: '{}' }),
    ],
    [
      'a publish in a scope',
      (publisher) =>
        InvalidationScope.run(() => publisher.invalidate('User', 1)),
    ],
  ])('refuses %s at the call, and publishes nothing', async (_, publish) => {
    const { app, recorder } = await start();
    const error = await errorOf(() => publish(app.get(InvalidationPublisher)));
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    expect(String(error)).toMatch(
      /only receives \(role: "subscriber"\).* was not published\. Set role: "both"/,
    );
    expect(recorder.published).toEqual([]);
  });

  it('warns once, at the start, of the methods that would publish', async () => {
    const { logs } = await start({ providers: [Writers, Readers] });
    const warned = logs
      .of('warn')
      .filter((line) => line.includes('subscriber'));
    expect(warned).toHaveLength(1);
    expect(warned[0]).toMatch(
      /go stale: Writers\.save, Writers\.saveAll\. Set/,
    );
  });

  it('runs a decorated method, and reports that what it changed was not published', async () => {
    const { app, recorder } = await start({ providers: [Writers] });
    const errors: CacheInvalidationError[] = [];
    app.get(InvalidationSubscriber).errors$.subscribe((e) => errors.push(e));
    expect(await app.get(Writers).save('1')).toBe('saved 1');
    expect(errors).toHaveLength(2);
    expect(errors[0]).toBeInstanceOf(CallbackFailedError);
    expect(errors[0]!.cause).toBeInstanceOf(InvalidationConfigurationError);
    expect(errors[0]!.message).toMatch(
      /^Writers\.save succeeded, but what it changed was not published: .*role: "subscriber"/,
    );
    expect(recorder.published).toEqual([]);
  });

  it('refuses a durable outbox, whose rows it would leave behind', async () => {
    const durableOutbox = { pending: async () => [], remove: async () => {} };
    const error = await errorOf(() =>
      startApp({ options: { role: 'subscriber', durableOutbox } }),
    );
    expect(String(error)).toContain('a subscriber publishes nothing');
  });
});

describe('Role "publisher"', () => {
  const start = (description: AppDescription = {}) =>
    startApp({ ...description, options: { role: 'publisher' } });

  it('publishes what decorated methods change', async () => {
    const { app, recorder } = await start({ providers: [Writers] });
    await app.get(Writers).save('1');
    expect(recorder.published).toHaveLength(2);
    expect(
      await app.get(InvalidationPublisher).invalidateUser(2),
    ).toMatchObject({ status: 'delivered' });
  });

  it('fails the start with every handler and cache, by its name', async () => {
    const error = await errorOf(() => start({ providers: [Readers] }));
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    expect(String(error)).toMatch(
      /only publishes \(role: "publisher"\).* would reach Readers\.evict, Readers\.find\. Set role: "both"/,
    );
  });

  it('refuses the handlers of a lazy module when it is loaded', async () => {
    const { app } = await start();
    class LazyModule {}
    const loading = app
      .get(LazyModuleLoader)
      .load(() => ({ module: LazyModule, providers: [Readers] }));
    await expect(loading).rejects.toThrow('would reach Readers.evict');
  });

  it.each<[string, (app: { get: TestApp['context']['get'] }) => unknown]>([
    [
      'subscribe()',
      (app) => app.get(InvalidationSubscriber).subscribe(() => {}),
    ],
    ['bind()', (app) => app.get(InvalidationSubscriber).bind(new Map())],
    ['fence()', (app) => app.get(InvalidationSubscriber).fence()],
    ['caughtUp()', (app) => app.get(InvalidationSubscriber).caughtUp('1-1')],
    [
      'staleness() of a region',
      (app) => app.get(InvalidationSubscriber).staleness('us'),
    ],
    ['a near cache', (app) => app.get(NearCacheFactory).create('User')],
    [
      'CacheAuditor',
      (app) =>
        app
          .get(CacheAuditor)
          .watch({ entityType: 'User', peek: () => null }, () => null),
    ],
    [
      'messages$',
      (app) =>
        new Promise((_, reject) => {
          app
            .get(InvalidationSubscriber)
            .messages$.subscribe({ error: reject });
        }),
    ],
  ])('refuses %s, to which no message would come', async (_, use) => {
    const { app } = await start();
    const error = await errorOf(() => use(app));
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    expect(String(error)).toContain('only publishes (role: "publisher")');
  });

  it('publishes "everything" when Redis has lost what it had taken', async () => {
    const { app, broker } = await start();
    await app.get(InvalidationPublisher).invalidateUser(1);
    broker.cut();
    broker.loseJournal();
    broker.clear();
    broker.heal();
    await eventually(() =>
      expect(broker.published.map(({ pattern }) => pattern)).toEqual(['*']),
    );
  });

  it('publishes "everything" when its last message is deleted from the journal', async () => {
    const { app, broker } = await startApp({
      options: { role: 'publisher', heartbeatInterval: 50 },
    });
    const subscriber = app.get(InvalidationSubscriber);
    await app.get(InvalidationPublisher).invalidateUser(1);
    await eventually(() => expect(subscriber.staleness()).toBeLessThan(50));
    broker.clear();
    // The connection stays.
    broker.loseJournal();
    await eventually(() =>
      expect(broker.published.map(({ pattern }) => pattern)).toEqual(['*']),
    );
  });

  it('waits in the outbox while Redis is away, and is healthy by connection and outbox', async () => {
    const { app, broker } = await start();
    const [health, subscriber, publisher] = [
      app.get(InvalidationHealth),
      app.get(InvalidationSubscriber),
      app.get(InvalidationPublisher),
    ];
    expect(subscriber.status.state).toBe('live');
    await eventually(() => expect(subscriber.staleness()).toBeLessThan(10_000));
    expect(health.check()).toMatchObject({ status: 'up', outbox: 0 });
    broker.cut();
    expect((await publisher.invalidateUser(1)).status).toBe('queued');
    expect(health.check()).toMatchObject({
      status: 'down',
      state: 'disconnected',
      outbox: 1,
    });
    broker.clear();
    broker.heal();
    await eventually(() =>
      expect(health.check()).toMatchObject({ status: 'up', outbox: 0 }),
    );
    expect(broker.published).toHaveLength(1);
  });
});

describe('Role "publisher" on Redis', () => {
  const start = (url: string, logger = new LogRecorder()) =>
    startOnRedis({
      connection: url,
      role: 'publisher',
      quiet: true,
      heartbeatInterval: 50,
      logger,
    });

  it('opens one connection, and no subscription', async () => {
    const server = await startServer();
    const app = await start(server.url);
    expect((await app.publisher.invalidateUser(1)).status).toBe('delivered');
    const raw = connectRaw(server.url);
    expect(await raw.pubsub('NUMSUB', app.channel)).toEqual([app.channel, 0]);
    const list = String(await raw.client('LIST'))
      .trim()
      .split('\n');
    expect(list).toHaveLength(2);
  });

  itOnRedisServer(
    'is stale while Redis does not take what it publishes',
    async () => {
      const server = await startServer({ real: true });
      const app = await start(server.url);
      await eventually(() =>
        expect(app.subscriber.staleness()).toBeLessThan(1_000),
      );
      // The server goes on answering reads.
      await connectRaw(server.url).config('SET', 'min-replicas-to-write', '1');
      await app.publisher.invalidateUser(1);
      const health = app.context.get(InvalidationHealth);
      // Many heartbeats without a proof.
      await eventually(() =>
        expect(app.subscriber.staleness()).toBeGreaterThan(500),
      );
      expect(health.check()).toMatchObject({ status: 'degraded', outbox: 1 });
    },
  );

  it('goes live again after a restart of Redis, and says what waits', async () => {
    const server = await startServer();
    const log = new LogRecorder();
    const app = await start(server.url, log);
    const hand = new Hand(server, app.channel);
    await app.publisher.invalidateUser(1);
    server.kill();
    await becomes(app, 'disconnected');
    expect(log.warnings.join('\n')).toContain(
      'Invalidations wait in the outbox until Redis is back.',
    );
    expect((await app.publisher.invalidateUser(2)).status).toBe('queued');
    await server.restart();
    await becomes(app, 'live');
    await eventually(async () => {
      const entries = await hand.redis.xrange(hand.journal, '-', '+');
      const said = entries.map(([, [, payload]]) => {
        const { entity_id: id, pattern } = JSON.parse(payload!) as {
          entity_id: string | null;
          pattern: string | null;
        };
        return id ?? pattern;
      });
      // The restart has lost the first one.
      expect(said).toEqual(['2', '*']);
    }, patient);
  });

  it('starts without Redis, and goes live when it is there', async () => {
    const server = await startServer();
    server.kill();
    const app = await startOnRedis({
      connection: server.url,
      role: 'publisher',
      quiet: true,
      startupTimeout: 50,
      logger: new LogRecorder(),
    });
    expect(app.subscriber.status.state).toBe('connecting');
    await server.restart();
    await becomes(app, 'live');
    expect(await app.context.get(InvalidationHealth).ready()).toBe(true);
  });
});

describe('Any role', () => {
  it.each(['subscriber', 'publisher'] as const)(
    '%s is refused nothing while the module is switched off',
    async (role) => {
      const messages: InvalidationMessage[] = [];
      const { app } = await startApp({
        providers: [Readers, Writers],
        options: { role, enabled: false },
      });
      const subscriber = app.get(InvalidationSubscriber);
      subscriber.messages$.subscribe((message) => messages.push(message));
      subscriber.bind(new Map());
      const publisher = app.get(InvalidationPublisher);
      expect((await publisher.invalidateUser(1)).status).toBe('disabled');
      expect(await app.get(Writers).save('1')).toBe('saved 1');
      expect(await app.get(Readers).find('1')).toBe(1);
      expect(messages).toEqual([]);
    },
  );

  it('is one of three', async () => {
    const error = await errorOf(() =>
      startApp({ options: { role: 'reader' as never } }),
    );
    expect(String(error)).toContain('Give "both", "subscriber" or "publisher"');
  });

  it('ends without an error', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    onTestFinished(() => void process.off('unhandledRejection', unhandled));
    for (const role of ['subscriber', 'publisher'] as const) {
      const { app } = await startApp({ options: { role } });
      await app.close();
      expect(app.get(InvalidationSubscriber).status.state).toBe('stopped');
    }
    expect(unhandled).not.toHaveBeenCalled();
  });
});
