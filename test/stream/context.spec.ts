import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import {
  InvalidatesCache,
  InvalidationPublisher,
  InvalidationScope,
  InvalidationSubscriber,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it } from 'vitest';
import { startApp } from '../testing/fakes/start-app.js';

const tenant = new AsyncLocalStorage<string>();

@Injectable()
class Handlers {
  readonly seen: unknown[] = [];

  @OnInvalidation()
  async on(message: InvalidationMessage): Promise<void> {
    this.seen.push([message.entityId, tenant.getStore()]);
    await Promise.resolve();
    this.seen.push([message.entityId, tenant.getStore()]);
  }

  @InvalidatesCache('User', (id: string) => id)
  sync(_id: string): void {}
}

describe('Handlers run outside the async context of a request', () => {
  const none = (id: string) => [
    [id, undefined],
    [id, undefined],
  ];

  it.each<[string, (handlers: Handlers, by: InvalidationPublisher) => unknown]>(
    [
      ['published', (_, publisher) => publisher.invalidate('User', '1')],
      ['published by a synchronous method', (handlers) => handlers.sync('1')],
      [
        'held back by a scope',
        (_, publisher) =>
          InvalidationScope.run(() => publisher.invalidate('User', '1')),
      ],
      [
        'held back by a synchronous scope',
        (handlers) => InvalidationScope.run(() => handlers.sync('1')),
      ],
    ],
  )('when a message is %s', async (_what, publish) => {
    const { app } = await startApp({ providers: [Handlers] });
    const handlers = app.get(Handlers);

    await tenant.run('red', async () =>
      publish(handlers, app.get(InvalidationPublisher)),
    );
    await settled(app);

    expect(handlers.seen).toEqual(none('1'));
  });

  it('when messages of two requests are sent together', async () => {
    const { app } = await startApp({ providers: [Handlers] });
    const publisher = app.get(InvalidationPublisher);
    const seen: unknown[] = [];
    app
      .get(InvalidationSubscriber)
      .messages$.subscribe(() => seen.push(tenant.getStore()));

    await Promise.all([
      tenant.run('red', () => publisher.invalidate('User', '1')),
      tenant.run('blue', () => publisher.invalidate('User', '2')),
    ]);
    await settled(app);

    expect(app.get(Handlers).seen.flat()).not.toContain('red');
    expect(seen).toEqual([undefined, undefined]);
  });
});
