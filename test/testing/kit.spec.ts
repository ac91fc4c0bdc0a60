import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  batch,
  CacheInvalidationModule,
  entity,
  everything,
  InvalidatesCache,
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
  OnInvalidation,
  pattern,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import {
  InMemoryBroker,
  InvalidationRecorder,
  settled,
} from 'nestjs-cache-invalidation/testing';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CapturingLogger } from './fakes/capturing.logger.js';
import { buildApp, startApp } from './fakes/start-app.js';

@Injectable()
class Cache {
  readonly heard: InvalidationMessage[] = [];

  @OnInvalidation()
  on(message: InvalidationMessage): void {
    this.heard.push(message);
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('Applications on one InMemoryBroker', () => {
  it('receive messages of each other', async () => {
    const broker = new InMemoryBroker();
    const [first, second, third] = await Promise.all([
      startApp({ broker, providers: [Cache], options: { serviceName: 'a' } }),
      startApp({ broker, providers: [Cache], options: { serviceName: 'b' } }),
      startApp({ broker, providers: [Cache], options: { serviceName: 'c' } }),
    ]);

    const receipt = await first.app
      .get(InvalidationPublisher)
      .invalidateUser(1);
    await second.app.get(InvalidationPublisher).invalidatePost(2);
    await settled(first.app, second.app, third.app);

    expect(receipt).toMatchObject({ status: 'delivered', receivers: 3 });
    const heard = [
      { sourceService: 'a', entityType: 'User', entityId: '1' },
      { sourceService: 'b', entityType: 'Post', entityId: '2' },
    ];
    for (const { app } of [first, second, third]) {
      expect(app.get(Cache).heard).toMatchObject(heard);
    }
    expect(first.app.get(Cache).heard.map(({ own }) => own)).toEqual([
      true,
      false,
    ]);
    expect(third.app.get(Cache).heard.map(({ own }) => own)).toEqual([
      false,
      false,
    ]);
  });

  it('receive nothing of another broker', async () => {
    const first = await startApp({ providers: [Cache] });
    const second = await startApp({ providers: [Cache] });

    await first.app.get(InvalidationPublisher).invalidateUser(1);
    second.broker.emit(entity('Post', 2));
    await settled(first.app, second.app);

    expect(first.app.get(Cache).heard).toMatchObject([{ entityType: 'User' }]);
    expect(second.app.get(Cache).heard).toMatchObject([{ entityType: 'Post' }]);
    expect(first.recorder.published).toHaveLength(1);
    expect(second.recorder.published).toHaveLength(1);
  });

  it('continue when one is closed', async () => {
    const broker = new InMemoryBroker();
    const first = await startApp({ broker });
    const second = await startApp({ broker, providers: [Cache] });

    await first.app.close();
    const receipt = await second.app
      .get(InvalidationPublisher)
      .invalidateUser(1);

    expect(receipt).toMatchObject({ status: 'delivered', receivers: 1 });
    expect(second.app.get(Cache).heard).toHaveLength(1);
  });

  it('are live as soon as they are initialized', async () => {
    const { app } = await startApp();

    expect(app.get(InvalidationSubscriber).status.state).toBe('live');
  });
});

describe('broker.emit()', () => {
  it('delivers a message as from another service', async () => {
    const { app, broker } = await startApp({ providers: [Cache] });

    broker.emit(entity('User', 1, { metadata: { why: 'test' } }));
    broker.emit(batch(['user:1', 'user:2']), 'billing');
    broker.emit(pattern('feed:*'));
    broker.emit(everything());

    const { heard } = app.get(Cache);
    expect(heard).toMatchObject([
      {
        action: 'Delete',
        entityType: 'User',
        entityId: '1',
        metadata: { why: 'test' },
        sourceService: 'another-service',
        own: false,
        widened: null,
      },
      { entityIds: ['user:1', 'user:2'], sourceService: 'billing' },
      { pattern: 'feed:*' },
      { pattern: '*' },
    ]);
    expect(new Set(heard.map(({ messageId }) => messageId)).size).toBe(4);
    expect(app.get(InvalidationStats).snapshot().received).toBe(4);
  });

  it('reaches no receiver without an application', () => {
    expect(() => new InMemoryBroker().emit(entity('User', 1))).not.toThrow();
  });
});

describe('broker.emitRaw()', () => {
  it.each(['garbage', '', '{}', 'null', '[1]', '{"message_id":1}'])(
    'counts %j as malformed, and evicts nothing',
    async (payload) => {
      const { app, broker, recorder, logs } = await startApp({
        providers: [Cache],
      });

      broker.emitRaw(payload);
      broker.emit(entity('User', 1));

      expect(app.get(InvalidationStats).snapshot()).toMatchObject({
        malformed: 1,
        received: 1,
      });
      expect(app.get(Cache).heard).toHaveLength(1);
      expect(recorder.published).toHaveLength(1);
      expect(logs.of('error')).toHaveLength(1);
    },
  );

  it('delivers a valid payload', async () => {
    const { app, broker } = await startApp({ providers: [Cache] });

    broker.emitRaw(
      JSON.stringify({
        message_id: 'b3c1f6a8-0f4e-4f0a-9d55-0d8a1f1e8a11',
        entity_type: { Custom: 'session' },
        entity_id: 'abc',
        pattern: null,
        entity_ids: null,
        action: 'Delete',
        timestamp: '2026-01-02T03:04:05.123456789Z',
        source_service: 'rust',
        metadata: null,
      }),
    );

    expect(app.get(Cache).heard).toMatchObject([
      { entityType: 'session', entityId: 'abc', origin: null },
    ]);
  });
});

describe('InvalidationRecorder', () => {
  it('records published messages since its creation, in order', async () => {
    const broker = new InMemoryBroker();
    const { app } = await startApp({ broker, options: { serviceName: 'a' } });
    await app.get(InvalidationPublisher).invalidateUser('before');
    const recorder = new InvalidationRecorder(broker);

    await app.get(InvalidationPublisher).update('User', 1);
    broker.emit(entity('Post', 2));

    expect(recorder.published).toMatchObject([
      { action: 'Update', entityId: '1', sourceService: 'a' },
      { action: 'Delete', entityId: '2', sourceService: 'another-service' },
    ]);
  });

  it('clear() forgets the messages, and recording continues', async () => {
    const { broker, recorder } = await startApp();
    broker.emit(entity('User', 1));
    const before = recorder.published;

    recorder.clear();

    expect(recorder.published).toEqual([]);
    expect(before).toHaveLength(1);
    broker.emit(entity('User', 2));
    expect(recorder.published).toMatchObject([{ entityId: '2' }]);
  });

  it('records messages of a synchronous method once settled', async () => {
    class Users {
      @InvalidatesCache('User', (id: string) => id)
      update(_id: string): void {}
    }
    const { app, recorder } = await startApp({ providers: [Users] });

    app.get(Users).update('1');
    expect(recorder.published).toEqual([]);
    await settled(app);

    expect(recorder.published).toMatchObject([{ entityId: '1' }]);
  });
});

describe('settled()', () => {
  it('waits for slow handlers and queued messages', async () => {
    let finished = 0;
    class Slow {
      @OnInvalidation()
      async on(): Promise<void> {
        for (let n = 0; n < 5; n++) await turn();
        finished++;
      }
    }
    const { app, broker } = await startApp({ providers: [Slow] });

    for (let id = 0; id < 10; id++) broker.emit(entity('User', id));
    expect(finished).toBe(0);
    await settled(app);

    expect(finished).toBe(10);
  });

  it('waits for messages that handlers publish, in other applications too', async () => {
    // User → Post → Comment → Feed, each by a handler that takes its time, in
    // one application and the other by turns.
    const next = { User: 'Post', Post: 'Comment', Comment: 'Feed' } as const;
    @Injectable()
    class Chain {
      constructor(private readonly publisher: InvalidationPublisher) {}

      @OnInvalidation(['User', 'Post', 'Comment'])
      async follow({ entityType, own }: InvalidationMessage): Promise<void> {
        if (own) return;
        await turn();
        await turn();
        await this.publisher.invalidate(
          next[entityType as keyof typeof next],
          1,
        );
      }
    }
    const broker = new InMemoryBroker();
    const first = await startApp({ broker, providers: [Chain] });
    const second = await startApp({ broker, providers: [Chain] });

    await first.app.get(InvalidationPublisher).invalidateUser(1);
    await settled(first.app, second.app);

    expect(first.recorder.published.map((m) => m.entityType)).toEqual([
      'User',
      'Post',
      'Comment',
      'Feed',
    ]);
  });

  it('waits for handlers that fail', async () => {
    class Failing {
      @OnInvalidation()
      async on(): Promise<void> {
        await turn();
        throw new Error('mistake');
      }
    }
    const { app, broker } = await startApp({ providers: [Failing] });

    for (const id of [1, 2, 3]) broker.emit(entity('User', id));
    await settled(app);

    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(3);
  });

  it('resolves immediately when nothing was published', async () => {
    const { app } = await startApp();

    await expect(settled()).resolves.toBeUndefined();
    await expect(settled(app)).resolves.toBeUndefined();
    await expect(settled(app, app)).resolves.toBeUndefined();
  });

  it('resolves when the module is disabled', async () => {
    const { app, broker } = await startApp({ options: { enabled: false } });

    broker.emit(entity('User', 1));
    const receipt = await app.get(InvalidationPublisher).invalidateUser(1);

    expect(receipt.status).toBe('disabled');
    await expect(settled(app)).resolves.toBeUndefined();
  });
});

describe('InMemoryBroker.install() in an application with Redis', () => {
  it('opens no socket', async () => {
    const connections: unknown[] = [];
    const redis = createServer((socket) => {
      connections.push(socket.remotePort);
      socket.destroy();
    });
    onTestFinished(() => void redis.close());
    await new Promise<void>((resolve) => redis.listen(0, '127.0.0.1', resolve));
    const { port } = redis.address() as AddressInfo;

    @Module({
      imports: [
        CacheInvalidationModule.forRootAsync({
          useFactory: async () => ({
            connection: `redis://127.0.0.1:${port}`,
            serviceName: 'real',
            startupTimeout: 100,
            shutdownTimeout: 100,
          }),
        }),
      ],
      providers: [Cache],
    })
    class AppModule {}

    async function startAndPublish(broker: InMemoryBroker | null) {
      const builder = Test.createTestingModule({ imports: [AppModule] });
      broker?.install(builder);
      const app = await builder.setLogger(new CapturingLogger()).compile();
      await app.init();
      const receipt = await app.get(InvalidationPublisher).invalidateUser(1);
      const { heard } = app.get(Cache);
      await app.close();
      return { receipt, heard };
    }

    const broker = new InMemoryBroker();
    const recorder = new InvalidationRecorder(broker);
    const installed = await startAndPublish(broker);

    expect(installed.receipt.status).toBe('delivered');
    expect(installed.heard).toHaveLength(1);
    expect(recorder.published).toMatchObject([{ sourceService: 'real' }]);
    expect(connections).toEqual([]);

    // The same application without the broker connects, since the server is there.
    const without = await startAndPublish(null);

    expect(without.receipt.status).toBe('queued');
    expect(connections).not.toEqual([]);
  });

  it('publishes to the broker when compiled and not initialized', async () => {
    // `compile()` runs no lifecycle hooks, and the example in the JSDoc of
    // InMemoryBroker stops there.
    class Users {
      @InvalidatesCache('User', (id: string) => id)
      async update(_id: string): Promise<void> {}
    }
    const broker = new InMemoryBroker();
    const recorder = new InvalidationRecorder(broker);
    const app = await buildApp({
      broker,
      providers: [Users],
      options: { shutdownTimeout: 1 },
    });
    onTestFinished(() => app.close());

    await app.get(Users).update('1');

    expect(recorder.published).toMatchObject([{ entityId: '1' }]);
    await settled(app);
  });
});
