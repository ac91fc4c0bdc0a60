import { Logger } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import {
  InvalidationSerializationError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import {
  batch,
  decodeMessage,
  entity,
  everything,
  Instance,
  type InvalidationMessage,
  type TraceContext,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import {
  InvalidationScope,
  MessageEncoder,
  type CascadeRules,
} from '../../lib/publisher/index.js';
import {
  ErrorReporter,
  InvalidationStream,
  type InvalidationTracer,
} from '../../lib/stream/index.js';
import { said } from '../support/app.js';
import { ROOMY } from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const TRACE = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-01' };
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

/** A tracer that notes the messages for which a span began. */
class Tracer implements InvalidationTracer {
  readonly began: string[] = [];

  constructor(
    /** The trace of each span, or no span at all. */
    private readonly trace: TraceContext | null | 'no span' = TRACE,
  ) {}

  publishing(message: InvalidationMessage) {
    this.began.push(said(message));
    return this.trace === 'no span'
      ? null
      : { trace: this.trace, end: () => {} };
  }

  delivering(_message: InvalidationMessage, deliver: () => void): void {
    deliver();
  }

  handling(
    _message: InvalidationMessage,
    _handler: string,
    handle: () => unknown,
  ): void {
    void handle();
  }
}

function make(
  {
    cascade,
    maxMessageBytes = 1_024,
  }: { cascade?: CascadeRules; maxMessageBytes?: number } = {},
  tracer: Tracer | null = null,
) {
  const instance = new Instance('test');
  const meter = new InvalidationCounters(instance);
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  const options = { ...ROOMY, maxMessageBytes, cascade };
  const stream = new InvalidationStream(options, meter, reporter);
  stream.tracing.use(tracer);
  const encoder = new MessageEncoder(
    options,
    instance,
    stream,
    meter,
    reporter,
  );
  return { encoder, instance, errors, meter };
}

/** Twelve keys: two messages. */
const KEYS = Array.from({ length: 12 }, (_, id) => `user:${id}`);

describe('MessageEncoder', () => {
  it('makes one message of an entity, with the given time and a payload that says the same', () => {
    const { encoder, instance } = make();
    const parts = encoder.encode(entity('User', 1), NOW);
    expect(parts).toHaveLength(1);
    const [{ message, payload, ...more } = {} as never] = parts;
    expect(more).toEqual({});
    expect(message).toMatchObject({
      entityId: '1',
      origin: instance.origin,
      timestamp: expect.stringMatching(/^2026-01-02T03:04:05/),
      own: true,
      trace: null,
    });
    expect(decodeMessage(payload, Infinity)).toMatchObject({
      messageId: message.messageId,
      entityId: '1',
      trace: null,
    });
  });

  it('makes no message of a batch without keys, and applies no rule', () => {
    const rules: CascadeRules = { User: () => [everything()] };
    const { encoder } = make({ cascade: rules });
    expect(encoder.encode(batch([]), NOW)).toEqual([]);
  });

  it('makes several messages of a large batch', () => {
    const { encoder } = make();
    const parts = encoder.encode(batch(KEYS), NOW);
    expect(parts.map(({ message }) => message.entityIds)).toEqual([
      KEYS.slice(0, 10),
      KEYS.slice(10),
    ]);
  });

  it('copies metadata as its receivers read it', () => {
    const { encoder, instance } = make();
    const metadata = { at: new Date(NOW), nothing: undefined };
    const asRead = { at: '2026-01-02T03:04:05.000Z' };
    const [part] = encoder.encode(entity('User', 1, { metadata }), NOW);
    expect(part!.message.metadata).toEqual(asRead);
    expect(Object.keys(part!.message.metadata as object)).toEqual(['at']);
    const held = instance.stamp(entity('User', 1, { metadata }));
    expect(encoder.encodeStamped(held).message).toEqual({
      ...held,
      metadata: asRead,
    });
  });

  it('leaves room for what the journal adds', () => {
    const { encoder } = make({ maxMessageBytes: 1_024 });
    const sizes: number[] = [];
    expect(() => {
      for (let length = 1; ; length++) {
        const [part] = encoder.encode(entity('User', 'x'.repeat(length)), NOW);
        sizes.push(Buffer.byteLength(part!.payload));
      }
    }).toThrow(InvalidationSerializationError);
    expect(sizes.at(-1)).toBe(1_024 - 256);
    const alone = (length: number) =>
      encoder.encodeAlone(entity('User', 'x'.repeat(length)));
    expect(alone(sizes.length).payload).toHaveLength(1_024 - 256);
    expect(() => alone(sizes.length + 1)).toThrow(
      InvalidationSerializationError,
    );
  });

  it('encodes a stamped message of any size, as it is', () => {
    const { encoder, instance } = make();
    const held = instance.stamp(entity('User', 'x'.repeat(5_000)));
    const { message, payload, ...more } = encoder.encodeStamped(held);
    expect(message).toEqual(held);
    expect(decodeMessage(payload, Infinity).messageId).toBe(held.messageId);
    expect(more).toEqual({});
  });
});

describe('MessageEncoder: positions', () => {
  const at = { pg: '0/16B3748' };

  it('are in the message, in all parts of a batch, and in what follows', () => {
    const { encoder } = make({
      cascade: { User: (id) => [entity('Feed', id)] },
    });
    const parts = encoder.encode(batch(KEYS), NOW, at);
    expect(parts.length).toBeGreaterThan(12);
    for (const { message, payload } of parts) {
      expect(message.at).toEqual(at);
      expect(decodeMessage(payload, Infinity).at).toEqual(at);
    }
  });

  it('are left out of a stamped message that would be too large with them', () => {
    const { encoder, instance } = make();
    let length = 1;
    const held = (id: number) =>
      encoder.encodeStamped(
        instance.stamp(entity('User', 'x'.repeat(id)), NOW, at),
      );
    while (held(length).message.at !== null) length++;
    expect(held(length - 1).message.at).toEqual(at);
    expect(Buffer.byteLength(held(length - 1).payload)).toBe(1_024 - 256);
    expect(decodeMessage(held(length).payload, Infinity)).toMatchObject({
      entityId: 'x'.repeat(length),
      at: null,
    });
  });

  it('are left out of a message, and of a batch, that fit without them only', () => {
    const { encoder } = make();
    const large = { mysql: 'x'.repeat(1_024) };
    for (const invalidation of [entity('User', '1'), batch(KEYS.slice(0, 9))]) {
      const parts = encoder.encode(invalidation, NOW, large);
      expect(parts.map(({ message }) => message.at)).toEqual([null]);
      expect(decodeMessage(parts[0]!.payload, 768).at).toBeNull();
    }
  });
});

describe('MessageEncoder: cascades', () => {
  const rules: CascadeRules = {
    User: (id) => [entity('Feed', id), entity('Post', id)],
  };

  it('adds what follows, marked, after the messages themselves', () => {
    const { encoder } = make({ cascade: rules });
    const parts = encoder.encode(entity('User', 1), NOW);
    expect(
      parts.map(({ message, cascaded }) => [said(message), cascaded]),
    ).toEqual([
      ['User:1', undefined],
      ['Feed:1', true],
      ['Post:1', true],
    ]);
    const following = encoder.following(entity('User', 1), NOW);
    expect(following.map(({ message }) => said(message))).toEqual([
      'Feed:1',
      'Post:1',
    ]);
    expect(following[0]!.message.timestamp).toBe(parts[0]!.message.timestamp);
  });

  it('adds nothing without rules', () => {
    const { encoder } = make();
    expect(encoder.following(entity('User', 1), NOW)).toEqual([]);
  });

  it('begins a span for each message that follows, and for none of those that "everything" replaced', () => {
    const tracer = new Tracer();
    const { encoder, errors } = make(
      {
        cascade: {
          User: (id) =>
            id === 'bad'
              ? [entity('Feed', 'x'.repeat(2_000))]
              : [entity('Feed', id)],
        },
      },
      tracer,
    );
    const parts = encoder.encode(entity('User', 1), NOW);
    expect(tracer.began).toEqual(['User:1', 'Feed:1']);
    expect(parts.map(({ span }) => span?.trace)).toEqual([TRACE, TRACE]);
    encoder.encode(entity('User', 'bad'), NOW);
    expect(tracer.began.slice(2)).toEqual(['User:bad', '*']);
    expect(errors).toHaveLength(1);
  });
});

describe('MessageEncoder: tracing', () => {
  it('adds the trace to the message and to its payload, and keeps the span', () => {
    const { encoder, instance } = make({}, new Tracer());
    const held = instance.stamp(entity('User', 1));
    for (const { message, payload, span } of [
      encoder.encode(entity('User', 1), NOW)[0]!,
      encoder.encodeStamped(held),
    ]) {
      expect(message).toMatchObject({ entityId: '1', trace: TRACE });
      expect(decodeMessage(payload, Infinity).trace).toEqual(TRACE);
      expect(span?.trace).toEqual(TRACE);
    }
  });

  it('has no span for a message that the tracer leaves out', () => {
    const { encoder } = make({}, new Tracer('no span'));
    const [part] = encoder.encode(entity('User', 1), NOW);
    expect(Object.keys(part!)).toEqual(['message', 'payload']);
    expect(part!.message.trace).toBeNull();
  });

  it('has a span without a trace where the tracer gives none', () => {
    const { encoder } = make({}, new Tracer(null));
    const [part] = encoder.encode(entity('User', 1), NOW);
    expect(part!.span).toBeDefined();
    expect(part!.message.trace).toBeNull();
    expect(decodeMessage(part!.payload, Infinity).trace).toBeNull();
  });

  it('leaves the trace out where the message would be too large with it', () => {
    const { encoder, instance } = make({}, new Tracer());
    const untraced = make().encoder;
    let length = 0;
    expect(() => {
      for (;;) untraced.encode(entity('User', 'x'.repeat(++length)), NOW);
    }).toThrow(InvalidationSerializationError);
    const largest = entity('User', 'x'.repeat(length - 1));

    const [part] = encoder.encode(largest, NOW);

    expect(part!.span).toBeDefined();
    expect(part!.message).toMatchObject({
      entityId: largest.entityId,
      trace: null,
    });
    expect(decodeMessage(part!.payload, Infinity)).toMatchObject({
      messageId: part!.message.messageId,
      trace: null,
    });
    const held = encoder.encodeStamped(instance.stamp(largest));
    expect(held.message.trace).toBeNull();
  });

  it('begins no span where a part of a batch does not fit', () => {
    const tracer = new Tracer();
    const { encoder } = make({}, tracer);
    const keys = ['user:1', `user:${'x'.repeat(2_000)}`];
    expect(() => encoder.encode(batch(keys), NOW)).toThrow(
      InvalidationSerializationError,
    );
    expect(tracer.began).toEqual([]);
    encoder.encode(batch(KEYS), NOW);
    expect(tracer.began).toHaveLength(2);
  });

  it('begins no span for what a scope holds back', () => {
    const tracer = new Tracer();
    const { encoder } = make({}, tracer);
    const parts = InvalidationScope.run(() =>
      encoder.encode(entity('User', 1), NOW),
    );
    expect(parts).toHaveLength(1);
    expect(parts[0]!.span).toBeUndefined();
    expect(tracer.began).toEqual([]);
  });
});
