import { Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
  type SpanContext,
} from '@opentelemetry/api';
import type { SpanProcessor } from '@opentelemetry/sdk-trace-base';
import {
  CacheInvalidationModule,
  entity,
  InvalidatesCache,
  InvalidationPublisher,
  InvalidationScope,
  InvalidationSerializationError,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { CacheInvalidationInstrumentation } from 'nestjs-cache-invalidation/opentelemetry';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { InvalidationStream } from '../../lib/stream/index.js';
import {
  connectRaw,
  said,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { Hand, NO_HEARTBEAT, wire } from '../subscriber/setup.js';
import {
  ancestry,
  attributesOf,
  ended,
  inSpan,
  named,
  setUpTraces,
  startTraced,
  UNSAMPLED,
} from './setup.js';
import { startServer } from '../support/redis-server.js';

/** An id that must not appear in any trace. */
const SECRET = 'ada@example.org';

/** A handler that waits until the test continues it, and makes a span each time. */
@Injectable()
class Cache {
  readonly heard: string[] = [];
  readonly gates: (() => void)[] = [];

  @OnInvalidation()
  async evict(message: InvalidationMessage): Promise<void> {
    this.heard.push(message.widened ?? said(message));
    await new Promise<void>((resolve) => this.gates.push(resolve));
    inSpan('reload', () => undefined);
  }
}

const publishOf = (app: TestApp): string => `publish ${app.channel}`;
const processOf = (app: TestApp): string => `process ${app.channel}`;

/** A span processor that does nothing. */
const IDLE: SpanProcessor = {
  onStart: () => undefined,
  onEnd: () => undefined,
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};

/** The active span. */
const activeSpan = (): SpanContext | undefined =>
  trace.getSpanContext(context.active());

describe('OpenTelemetry traces', () => {
  it('go from a caller over Redis into a handler of another application, and on', async () => {
    const spans = setUpTraces();
    const writer = await startTraced({ serviceName: 'writer' });
    const reader = await startTraced({
      serviceName: 'reader',
      channel: writer.channel,
      providers: [Cache],
    });
    const cache = reader.context.get(Cache);

    await inSpan('PUT /users', () => writer.publisher.invalidateUser(SECRET));
    await eventually(() => expect(cache.gates).toHaveLength(1));
    expect(named(spans(), 'Cache.evict')).toEqual([]);
    cache.gates[0]!();

    const [reload] = await ended(spans, 'reload');
    await ended(spans, 'Cache.evict');
    expect(ancestry(spans(), reload!)).toEqual([
      'reload',
      'Cache.evict',
      processOf(reader),
      publishOf(writer),
      'PUT /users',
    ]);
    // One more span, for the writer's own delivery.
    expect(named(spans(), processOf(writer))).toHaveLength(2);
    expect(
      new Set(spans().map((span) => span.spanContext().traceId)).size,
    ).toBe(1);
  });

  it('have attributes of the conventions, and never an entity id', async () => {
    const spans = setUpTraces();
    const writer = await startTraced();
    const messaging = {
      'messaging.system': 'redis',
      'messaging.destination.name': writer.channel,
    };

    const { messageId } = await writer.publisher.invalidateUser(SECRET);
    await writer.publisher.invalidateBatch([`user:${SECRET}`, 'session:s']);
    await writer.publisher.invalidatePattern(`feed:${SECRET}:*`);

    const [publish, publishBatch, publishPattern] = named(
      spans(),
      publishOf(writer),
    );
    const [process] = named(spans(), processOf(writer));
    const kind = {
      'messaging.message.id': messageId,
      'cache_invalidation.action': 'Delete',
      'cache_invalidation.entity_type': 'User',
    };
    expect(publish!.kind).toBe(SpanKind.PRODUCER);
    expect(attributesOf(publish!)).toEqual({
      ...messaging,
      ...kind,
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'cache_invalidation.status': 'delivered',
    });
    expect(process!.kind).toBe(SpanKind.CONSUMER);
    expect(attributesOf(process!)).toEqual({
      ...messaging,
      ...kind,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
    });
    expect(process!.links.map((link) => link.context.spanId)).toEqual([
      publish!.spanContext().spanId,
    ]);
    expect(attributesOf(publishBatch!)).toMatchObject({
      'cache_invalidation.action': 'Batch',
      'cache_invalidation.key_count': 2,
    });
    expect(attributesOf(publishPattern!)).toMatchObject({
      'cache_invalidation.action': 'Pattern',
    });
    const texts = spans().map(({ name, attributes, events }) =>
      JSON.stringify([name, attributes, events]),
    );
    expect(texts.join()).not.toContain(SECRET);
  });

  it('start at a message without a trace, whatever span is active', async () => {
    const spans = setUpTraces();
    const reader = await inSpan('bootstrap', () =>
      startTraced({ providers: [Cache] }),
    );

    await connectRaw().publish(reader.channel, wire(1));

    const [process] = await ended(spans, processOf(reader));
    expect(process!.parentSpanContext).toBeUndefined();
    expect(process!.links).toEqual([]);
    const [bootstrap] = named(spans(), 'bootstrap');
    expect(process!.spanContext().traceId).not.toBe(
      bootstrap!.spanContext().traceId,
    );
  });

  it('start at a message with an invalid trace', async () => {
    const spans = setUpTraces();
    const reader = await startTraced();

    const nonsense = { traceparent: 'nonsense', tracestate: '=,=' };
    await connectRaw().publish(reader.channel, wire(1, { trace: nonsense }));

    const [process] = await ended(spans, processOf(reader));
    expect(process!.parentSpanContext).toBeUndefined();
  });

  it('are not sampled in other applications if not sampled here', async () => {
    const spans = setUpTraces();
    const active: (SpanContext | undefined)[] = [];

    @Injectable()
    class Seeing {
      @OnInvalidation()
      on(): void {
        active.push(activeSpan());
      }
    }

    const writer = await startTraced();
    const { channel } = writer;
    const reader = await startTraced({ channel, providers: [Seeing] });

    const caller = await inSpan(UNSAMPLED, async () => {
      await writer.publisher.invalidateUser(1);
      return activeSpan();
    });

    await eventually(() => expect(reader.messages).toHaveLength(1));
    expect(spans()).toEqual([]);
    expect(active.map((each) => each?.traceId)).toEqual([caller!.traceId]);
  });

  it('are written to the payload only when something is traced', async () => {
    const channel = uniqueChannel();
    const raw = connectRaw();
    const heard: Record<string, unknown>[] = [];
    raw.on('message', (_channel, text: string) =>
      heard.push(JSON.parse(text) as Record<string, unknown>),
    );
    await raw.subscribe(channel);
    const untraced = await startApp({ channel });
    const unprovided = await startTraced({ channel });

    await untraced.publisher.invalidateUser(1);
    // Only the API, without an SDK.
    await unprovided.publisher.invalidateUser(2);
    const spans = setUpTraces();
    const traced = await startTraced({ channel });
    await traced.publisher.invalidateUser(3);

    await eventually(() => expect(heard).toHaveLength(3));
    expect(heard.map((message) => 'trace' in message)).toEqual([
      false,
      false,
      true,
    ]);
    const { spanId, traceId } = named(
      spans(),
      publishOf(traced),
    )[0]!.spanContext();
    expect(heard[2]!['trace']).toEqual({
      traceparent: `00-${traceId}-${spanId}-01`,
    });
  });

  it('are left out when the message would be too large', async () => {
    const spans = setUpTraces();
    const limit = 4_096;
    const reader = await startTraced({ maxMessageBytes: limit });
    const writer = await startTraced({
      channel: reader.channel,
      maxMessageBytes: limit,
    });

    const sizes = Array.from({ length: 40 }, (_, i) => 3_200 + 10 * i);
    const receipts = await Promise.allSettled(
      sizes.map((size) =>
        writer.publisher.invalidateUser(1, { metadata: 'x'.repeat(size) }),
      ),
    );

    const taken = receipts.filter(
      ({ status }) => status === 'fulfilled',
    ).length;
    await eventually(() => expect(reader.messages).toHaveLength(taken));
    const traced = reader.messages.map((message) => message.trace !== null);
    expect(taken).toBeLessThan(sizes.length);
    // A longer message leaves less room: all traced messages come first.
    expect(traced).toEqual(traced.toSorted((a, b) => Number(b) - Number(a)));
    expect(new Set(traced)).toEqual(new Set([true, false]));
    expect(named(spans(), publishOf(writer))).toHaveLength(taken);
  });

  it('do not start when a part of a batch is too large', async () => {
    const started: string[] = [];
    setUpTraces({ ...IDLE, onStart: ({ name }) => started.push(name) });
    const app = await startTraced({ maxMessageBytes: 4_096 });

    await expect(
      app.publisher.invalidateBatch(['user:1', `user:${'x'.repeat(4_096)}`]),
    ).rejects.toThrow(InvalidationSerializationError);

    expect(started).toEqual([]);
  });

  it('do not start for derived messages that are replaced by "everything"', async () => {
    const started: string[] = [];
    const spans = setUpTraces({
      ...IDLE,
      onStart: ({ name }) => started.push(name),
    });
    const app = await startTraced({
      maxMessageBytes: 4_096,
      cascade: {
        User: () => [entity('Feed', 1), entity('Feed', 'x'.repeat(4_096))],
      },
    });

    await app.publisher.invalidateUser(1);

    expect(app.messages.map(said)).toEqual(['User:1', '*']);
    const publishes = named(spans(), publishOf(app));
    expect(publishes).toHaveLength(2);
    expect(started.filter((name) => name === publishOf(app))).toHaveLength(2);
  });
});

describe('OpenTelemetry: publish spans', () => {
  it('are children of the caller of a decorated method, or of the handler that publishes', async () => {
    const spans = setUpTraces();

    @Injectable()
    class Users {
      @InvalidatesCache('User', (id: string) => id)
      async save(id: string): Promise<string> {
        return id;
      }
    }
    const app = await startTraced({ providers: [Users] });
    app.subscriber.subscribe(function rebuild({ entityType }) {
      if (entityType === 'User') return app.publisher.invalidateFeed(1);
      return null;
    });

    await inSpan('PUT /users', () => app.context.get(Users).save('1'));

    const publishes = await ended(spans, publishOf(app), 2);
    await ended(spans, 'rebuild', 2);
    expect(publishes.map((span) => ancestry(spans(), span))).toEqual([
      [publishOf(app), 'PUT /users'],
      [publishOf(app), 'rebuild', processOf(app), publishOf(app), 'PUT /users'],
    ]);
  });

  it('start at the commit of a scope, in the trace of the committer', async () => {
    const started: string[] = [];
    const spans = setUpTraces({
      ...IDLE,
      onStart: ({ name }) => started.push(name),
    });
    const app = await startTraced();

    await inSpan('PUT /users', () =>
      InvalidationScope.run(async () => {
        await inSpan('UPDATE', () => app.publisher.invalidateUser(1));
        await app.publisher.invalidateUser(2);
        expect(started).toEqual(['PUT /users', 'UPDATE']);
      }),
    );
    await expect(
      InvalidationScope.run(async () => {
        await app.publisher.invalidateUser(3);
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');

    const publishes = named(spans(), publishOf(app));
    expect(publishes.map((span) => ancestry(spans(), span))).toEqual([
      [publishOf(app), 'PUT /users'],
      [publishOf(app), 'PUT /users'],
    ]);
    expect(started.filter((name) => name === publishOf(app))).toHaveLength(2);
  });

  it('have the status queued, and the trace continues when Redis is back', async () => {
    const spans = setUpTraces();
    const reader = await startTraced();
    const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
    onTestFinished(() => proxy.close());
    const writer = await startTraced({
      channel: reader.channel,
      connection: proxy.url,
      publishTimeout: 50,
      heartbeatInterval: 100,
      heartbeatTimeout: 100,
    });
    proxy.swallow();

    const { messageId } = await inSpan('PUT /users', () =>
      writer.publisher.invalidateUser(1),
    );

    const [publish] = named(spans(), publishOf(writer));
    expect(attributesOf(publish!)).toMatchObject({
      'cache_invalidation.status': 'queued',
    });
    expect(publish!.status.code).toBe(SpanStatusCode.UNSET);
    proxy.pass();
    await eventually(() =>
      expect(reader.messages.map((each) => each.messageId)).toEqual([
        messageId,
      ]),
    );
    // The writer may also have received "everything" after its absence.
    const processed = named(spans(), processOf(reader)).filter(
      (span) => attributesOf(span)['messaging.message.id'] === messageId,
    );
    expect(processed.map((span) => ancestry(spans(), span))).toEqual([
      [processOf(reader), publishOf(writer), 'PUT /users'],
      [processOf(reader), publishOf(writer), 'PUT /users'],
    ]);
  });
});

describe('OpenTelemetry: process spans', () => {
  it('are active in subscribers of messages$', async () => {
    const spans = setUpTraces();
    const app = await startTraced();
    app.subscriber.messages$.subscribe(() => inSpan('look', () => undefined));

    await inSpan('PUT /users', () => app.publisher.invalidateUser(1));

    const [look] = named(spans(), 'look');
    expect(ancestry(spans(), look!)).toEqual([
      'look',
      processOf(app),
      publishOf(app),
      'PUT /users',
    ]);
  });

  it('of a replayed message are in its trace', async () => {
    const spans = setUpTraces();
    const server = await startServer();
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    const reader = await startTraced({
      connection: proxy.url,
      ...NO_HEARTBEAT,
    });
    const writer = await startTraced({
      connection: server.url,
      channel: reader.channel,
    });
    await writer.publisher.invalidateUser('before');
    await eventually(() => expect(reader.messages).toHaveLength(1));

    proxy.swallow('down');
    await inSpan('PUT /users', () => writer.publisher.invalidateUser('missed'));
    await eventually(() => expect(proxy.swallowed).toBeGreaterThan(0));
    proxy.pass();
    proxy.cut();

    await eventually(() => expect(reader.messages).toHaveLength(2));
    expect(reader.stats.snapshot().replayed).toBe(1);
    const [, missed] = named(spans(), publishOf(writer));
    const process = named(spans(), processOf(reader)).at(-1)!;
    expect(ancestry(spans(), process)).toEqual([
      processOf(reader),
      publishOf(writer),
      'PUT /users',
    ]);
    expect(process.parentSpanContext!.spanId).toBe(
      missed!.spanContext().spanId,
    );
  });

  it('of a widened message start a trace, with the cause', async () => {
    const spans = setUpTraces();
    const server = await startServer();
    const reader = await startTraced({
      connection: server.url,
      ...NO_HEARTBEAT,
    });
    const hand = new Hand(server, reader.channel);
    await hand.say('before');
    await ended(spans, processOf(reader));

    await hand.whileAllAreAway((multi) => void multi.del(hand.journal));

    const [, widened] = await ended(spans, processOf(reader), 2);
    expect(widened!.parentSpanContext).toBeUndefined();
    expect(attributesOf(widened!)).toMatchObject({
      'cache_invalidation.action': 'Pattern',
      'cache_invalidation.widened': 'missed',
    });
  });
});

describe('OpenTelemetry: handler spans', () => {
  it('are in the trace of each queued message, or of the last one that was collapsed', async () => {
    const spans = setUpTraces();
    const app = await startTraced({
      providers: [Cache],
      handlerQueueLimit: 1,
    });
    const cache = app.context.get(Cache);

    await inSpan('first', () => app.publisher.invalidateUser(1));
    await inSpan('second', () => app.publisher.invalidateUser(2));
    cache.gates[0]!();
    await eventually(() => expect(cache.gates).toHaveLength(2));
    await inSpan('third', () => app.publisher.invalidateUser(3));
    await inSpan('fourth', () => app.publisher.invalidateUser(4));
    cache.gates[1]!();
    await eventually(() => expect(cache.gates).toHaveLength(3));
    cache.gates[2]!();

    const handled = await ended(spans, 'Cache.evict', 3);
    expect(cache.heard).toEqual(['User:1', 'User:2', 'handler-overflow']);
    const [process, publish] = [processOf(app), publishOf(app)];
    expect(handled.map((span) => ancestry(spans(), span))).toEqual([
      ['Cache.evict', process, publish, 'first'],
      ['Cache.evict', process, publish, 'second'],
      ['Cache.evict', publish, 'fourth'],
    ]);
    const reloads = named(spans(), 'reload');
    expect(reloads.map((span) => span.parentSpanContext!.spanId)).toEqual(
      handled.map((span) => span.spanContext().spanId),
    );
    expect(handled.map(attributesOf)).toEqual(
      handled.map(() => ({ 'code.function.name': 'Cache.evict' })),
    );
    expect(handled[0]!.kind).toBe(SpanKind.INTERNAL);
  });

  it.each([
    [
      'throws',
      () => {
        throw new RangeError('too far');
      },
    ],
    ['rejects', () => Promise.reject(new RangeError('too far'))],
  ])('of a handler that %s record the error', async (_, fail) => {
    const spans = setUpTraces();
    const app = await startTraced();
    app.subscriber.subscribe(function evict() {
      return fail();
    });

    await app.publisher.invalidateUser(SECRET);
    await app.publisher.invalidateUser(SECRET);

    const [failed] = await ended(spans, 'evict', 2);
    expect(failed!.status.code).toBe(SpanStatusCode.ERROR);
    expect(attributesOf(failed!)).toMatchObject({ 'error.type': 'RangeError' });
    const [event] = failed!.events;
    expect(event!.name).toBe('exception');
    expect(event!.attributes).toMatchObject({
      'exception.type': 'RangeError',
      'exception.message': 'too far',
    });
    expect(JSON.stringify(failed!.events)).not.toContain(SECRET);
    await eventually(() => expect(app.errors).toHaveLength(2));
  });

  it.each([
    ['nothing', undefined],
    ['an object without a prototype', Object.create(null)],
  ])('of a handler that throws %s record an error', async (_, thrown) => {
    const spans = setUpTraces();
    const app = await startTraced();
    app.subscriber.subscribe(async function evict() {
      throw thrown;
    });

    await app.publisher.invalidateUser(1);

    const [failed] = await ended(spans, 'evict');
    expect(failed!.status.code).toBe(SpanStatusCode.ERROR);
  });
});

describe('CacheInvalidationInstrumentation', () => {
  it('traces messages published during startup, and stops at shutdown', async () => {
    const spans = setUpTraces();

    @Injectable()
    class Early implements OnModuleInit {
      constructor(private readonly publisher: InvalidationPublisher) {}

      async onModuleInit(): Promise<void> {
        await this.publisher.invalidateUser('early');
      }
    }

    const app = await startTraced({ providers: [Early] });
    const { tracing } = app.context.get(InvalidationStream);

    expect(named(spans(), publishOf(app))).toHaveLength(1);
    expect(named(spans(), processOf(app))).toHaveLength(1);
    expect(tracing.active).toBe(true);
    await app.close();
    expect(tracing.active).toBe(false);
  });

  it('can be provided when the module is not global', async () => {
    const spans = setUpTraces();
    const channel = uniqueChannel();

    @Module({
      imports: [
        CacheInvalidationModule.forRoot({
          connection: inject('redisUrl'),
          serviceName: 'test-service',
          channel,
          isGlobal: false,
        }),
      ],
      providers: [CacheInvalidationInstrumentation],
    })
    class AppModule {}

    const app = await NestFactory.createApplicationContext(AppModule, {
      logger: false,
    });
    onTestFinished(() => app.close());

    await app.get(InvalidationPublisher).invalidateUser(1);

    expect(named(spans(), `publish ${channel}`)).toHaveLength(1);
  });

  const broken = (): never => {
    throw new Error('The SDK is broken.');
  };
  it.each([
    ['begins no span', () => setUpTraces({ ...IDLE, onStart: broken })],
    ['ends no span', () => setUpTraces({ ...IDLE, onEnd: broken })],
    [
      'propagates nothing',
      () => {
        setUpTraces();
        propagation.disable();
        propagation.setGlobalPropagator({
          inject: broken,
          extract: broken,
          fields: () => [],
        });
      },
    ],
  ])('loses no message when an SDK %s', async (_, setUp) => {
    setUp();
    const writer = await startTraced();
    const reader = await startTraced({ channel: writer.channel });
    const heard: string[] = [];
    reader.subscriber.subscribe((message) => heard.push(said(message)));
    reader.subscriber.subscribe(async (message) => {
      await Promise.resolve();
      heard.push(said(message));
    });

    const first = await writer.publisher.invalidateUser(1);
    await writer.publisher.invalidateUser(2);

    expect(first.status).toBe('delivered');
    await eventually(() =>
      expect(heard.toSorted()).toEqual([
        'User:1',
        'User:1',
        'User:2',
        'User:2',
      ]),
    );
    expect([...writer.errors, ...reader.errors]).toEqual([]);
  });
});
