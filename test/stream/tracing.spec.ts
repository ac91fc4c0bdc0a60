import { entity, type InvalidationMessage } from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Instance } from '../../lib/message/index.js';
import {
  InvalidationStream,
  Tracing,
  type InvalidationTracer,
} from '../../lib/stream/index.js';
import { said, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { makeStream } from './setup.js';

const message: InvalidationMessage = new Instance('test').stamp(
  entity('User', 1),
);

const broken = (): never => {
  throw new Error('The tracer is broken.');
};

/** A tracer that does only the required minimum. */
const plain: InvalidationTracer = {
  publishing: () => null,
  delivering: (_message, deliver) => deliver(),
  handling: (_message, _handler, handle) => void handle(),
};

const ways: readonly [way: string, tracer: InvalidationTracer][] = [
  ['does nothing', { ...plain, delivering: () => {}, handling: () => {} }],
  [
    'throws at the start',
    { publishing: broken, delivering: broken, handling: broken },
  ],
  [
    'throws at the end',
    {
      publishing: () => ({ trace: null, end: broken }),
      delivering: (_message, deliver) => {
        deliver();
        broken();
      },
      handling: (_message, _handler, handle) => {
        handle();
        broken();
      },
    },
  ],
  [
    'returns an invalid trace',
    {
      ...plain,
      publishing: () => ({
        get trace() {
          return broken();
        },
        end: () => {},
      }),
    },
  ],
  [
    'returns a trace that JSON cannot encode',
    {
      ...plain,
      publishing: () => ({
        trace: { traceparent: 1n as unknown as string },
        end: () => {},
      }),
    },
  ],
];

function tracingBy(tracer: InvalidationTracer | null): Tracing {
  const tracing = new Tracing();
  tracing.use(tracer);
  return tracing;
}

describe.each(ways)('Tracing by a tracer that %s', (_, tracer) => {
  it('delivers a message once', () => {
    let delivered = 0;
    tracingBy(tracer).delivering(message, () => delivered++);
    expect(delivered).toBe(1);
  });

  it('calls a handler once, and returns its result', async () => {
    const tracing = tracingBy(tracer);
    const calls: string[] = [];
    const call = (name: string, outcome: () => unknown): unknown =>
      tracing.handling(message, name, () => {
        calls.push(name);
        return outcome();
      });

    expect(call('returns', () => 1)).toBe(1);
    await expect(call('resolves', () => Promise.resolve(2))).resolves.toBe(2);
    const failed = new Error('failed');
    expect(() =>
      call('throws', () => {
        throw failed;
      }),
    ).toThrow(failed);
    await expect(call('rejects', () => Promise.reject(failed))).rejects.toBe(
      failed,
    );
    expect(calls).toEqual(['returns', 'resolves', 'throws', 'rejects']);
  });

  it('changes no message, receipt or order', async () => {
    const writer = await startApp();
    const { channel } = writer;
    const reader = await startApp({ channel });
    for (const app of [writer, reader]) {
      const { tracing } = app.context.get(InvalidationStream);
      tracing.use(tracer);
      onTestFinished(() => tracing.use(null));
    }
    const handled: string[] = [];
    reader.subscriber.subscribe((each) => handled.push(said(each)));

    const receipts = await Promise.all([
      writer.publisher.invalidateUser(1),
      writer.publisher.invalidateUser(2),
    ]);

    expect(receipts.map(({ status }) => status)).toEqual([
      'delivered',
      'delivered',
    ]);
    await eventually(() => expect(handled).toEqual(['User:1', 'User:2']));
    expect(writer.messages.map(said)).toEqual(['User:1', 'User:2']);
    expect(reader.messages.map(said)).toEqual(['User:1', 'User:2']);
    expect([...writer.errors, ...reader.errors]).toEqual([]);
  });
});

describe('Tracing: a tracer', () => {
  it('spans a publish until its end, and receives its result', () => {
    const ends: string[] = [];
    const trace = { traceparent: '00-1-2-03' };
    const tracing = tracingBy({
      ...plain,
      publishing: () => ({ trace, end: (status) => ends.push(status) }),
    });
    const span = tracing.publishing(message);
    expect(span?.trace).toBe(trace);
    expect(ends).toEqual([]);
    span?.end('delivered');
    expect(ends).toEqual(['delivered']);
  });

  it('may leave out a publish, and may fail at its end', () => {
    expect(tracingBy(plain).publishing(message)).toBeNull();
    const failing = tracingBy({
      ...plain,
      publishing: () => ({ trace: null, end: broken }),
    });
    expect(() => failing.publishing(message)?.end('failed')).not.toThrow();
  });

  it('wraps the delivery and each handler of a stream', () => {
    const { stream, receive } = makeStream();
    const calls: string[] = [];
    stream.addHandler('Users.on', () => calls.push('handle'), []);
    stream.tracing.use({
      ...plain,
      delivering: ({ entityId }, deliver) => {
        calls.push(`delivering ${entityId}`);
        deliver();
        calls.push('delivered');
      },
      handling: ({ entityId }, handler, handle) => {
        calls.push(`${handler} with ${entityId}`);
        handle();
        calls.push('handled');
      },
    });
    receive(entity('User', 1));
    expect(calls).toEqual([
      'delivering 1',
      'Users.on with 1',
      'handle',
      'handled',
      'delivered',
    ]);
    stream.tracing.use(null);
    receive(entity('User', 2));
    expect(calls.slice(5)).toEqual(['handle']);
  });
});

describe('Tracing: the wrapped call', () => {
  it('runs a thenable once, however often it is awaited', async () => {
    let runs = 0;
    const query: PromiseLike<string> = {
      // oxlint-disable-next-line unicorn/no-thenable -- as a query builder is
      then: (resolve, reject) => {
        runs++;
        return Promise.resolve('rows').then(resolve, reject);
      },
    };
    const seen: unknown[] = [];
    const tracing = tracingBy({
      ...plain,
      handling: (_message, _handler, handle) => {
        seen.push(handle());
      },
    });

    const result = tracing.handling(message, 'query', () => query);

    expect(await result).toBe('rows');
    expect(await seen[0]).toBe('rows');
    expect(runs).toBe(1);
  });

  it('traces nothing after the tracer was removed', () => {
    const seen: string[] = [];
    const tracing = tracingBy({
      ...plain,
      handling: (_message, handler, handle) => {
        seen.push(handler);
        handle();
      },
    });
    expect(tracing.active).toBe(true);
    tracing.handling(message, 'before', () => null);

    tracing.use(null);

    expect(tracing.active).toBe(false);
    expect(tracing.publishing(message)).toBeNull();
    tracing.handling(message, 'after', () => null);
    expect(seen).toEqual(['before']);
  });
});
