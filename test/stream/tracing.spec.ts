import {
  InvalidationStream,
  type InvalidationTracer,
} from '../../lib/stream/index.js';
import { entity } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { startApp } from '../support/app.js';

const fail = (): never => {
  throw new Error('of the tracer');
};

describe('A tracer that fails', () => {
  it.each<[string, Partial<InvalidationTracer>]>([
    ['when a span is to begin', { publishing: fail }],
    ['when it is to end', { publishing: () => ({ trace: null, end: fail }) }],
    ['when it is to deliver', { delivering: fail }],
    ['when it is to call a handler', { handling: fail }],
  ])('%s costs the trace, and not the message', async (_when, failing) => {
    const { context, publisher, subscriber, messages } = await startApp();
    const handled: (string | null)[] = [];
    subscriber.subscribe(({ entityId }) => void handled.push(entityId));
    context.get(InvalidationStream).tracing.use({
      publishing: () => ({ trace: null, end: () => {} }),
      delivering: (_message, deliver) => deliver(),
      handling: (_message, _handler, handle) => handle(),
      ...failing,
    });

    const { status } = await publisher.invalidate('User', 1);
    publisher.publishAtOnce(entity('User', 2));
    await publisher.whenIdle();

    expect(status).toBe('delivered');
    expect(messages.map(({ entityId }) => entityId)).toEqual(['1', '2']);
    expect(handled).toEqual(['1', '2']);
  });
});
