import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Injectable } from '@nestjs/common';
import {
  OnInvalidation,
  type InvalidationEvents,
} from 'nestjs-cache-invalidation';
import { CacheAuditor } from 'nestjs-cache-invalidation/audit';
import { expect, inject, it, onTestFinished } from 'vitest';
import { connectRaw, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';

type Name = keyof InvalidationEvents;

/** Collects the events of one service on one diagnostics channel from now on. */
function hear<N extends Name>(
  name: N,
  serviceName: string,
): InvalidationEvents[N][] {
  const events: InvalidationEvents[N][] = [];
  const listener = (said: unknown): void => {
    const event = said as InvalidationEvents[N];
    if (event.serviceName === serviceName) events.push(event);
  };
  subscribe(`nestjs-cache-invalidation:${name}`, listener);
  onTestFinished(
    () => void unsubscribe(`nestjs-cache-invalidation:${name}`, listener),
  );
  return events;
}

@Injectable()
class Users {
  @OnInvalidation('User')
  evict(): void {}
}

it('Diagnostics: a message is published to the channels when it is sent and when it arrives', async () => {
  const published = hear('published', 'writer');
  const own = hear('delivered', 'writer');
  const delivered = hear('delivered', 'reader');
  const handled = hear('handled', 'reader');
  const writer = await startApp({ serviceName: 'writer' });
  const reader = await startApp({
    serviceName: 'reader',
    channel: writer.channel,
    providers: [Users],
  });

  const receipt = await writer.publisher.invalidate('User', 1);
  await eventually(() => expect(handled).toHaveLength(1));

  const { messageId, offset } = receipt;
  const [origin] = writer.messages.map((message) => message.origin);
  expect(published).toMatchObject([
    { serviceName: 'writer', origin, message: { messageId }, offset },
  ]);
  expect(published[0]).toMatchObject({
    receivers: receipt.receivers,
    latency: expect.any(Number),
  });
  expect(own).toMatchObject([{ origin, message: { messageId, own: true } }]);
  expect(delivered).toMatchObject([{ message: { messageId, own: false } }]);
  expect(delivered[0]!.origin).not.toBe(origin);
  expect(handled).toMatchObject([
    {
      message: { messageId },
      handler: 'Users.evict',
      latency: expect.any(Number),
    },
  ]);
  expect(reader.messages).toHaveLength(1);
});

it('Diagnostics: a loss is published with the widened message', async () => {
  const status = hear('status', 'cut-off');
  const widened = hear('widened', 'cut-off');
  const error = hear('error', 'cut-off');
  const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
  onTestFinished(() => proxy.close());
  const app = await startApp({
    serviceName: 'cut-off',
    connection: proxy.url,
    journal: false,
  });
  expect(status.map(({ state }) => state)).toEqual([
    'stopped',
    'connecting',
    'live',
  ]);

  await connectRaw().publish(app.channel, 'no message');
  await eventually(() => expect(error).toHaveLength(1));
  proxy.cut();
  await eventually(() => expect(widened).toHaveLength(1));

  expect(error[0]!.error).toBe(app.errors[0]);
  expect(widened).toMatchObject([{ cause: 'reconnected' }]);
  expect(status.map(({ state }) => state)).toContain('disconnected');
  await app.close();
  expect(status.at(-1)).toMatchObject({ state: 'stopped' });
});

it('Diagnostics: a stale copy is published with its key, and without its value', async () => {
  const stale = hear('stale', 'audited');
  const app = await startApp({ serviceName: 'audited' });
  app.context
    .get(CacheAuditor)
    .watch({ entityType: 'User', peek: () => 'old' }, () => 'new', {
      sampleRate: 1,
    });

  await app.publisher.invalidate('User', 7);
  await eventually(() => expect(stale).toHaveLength(1));

  const { origin } = app.messages[0]!;
  expect(stale).toEqual([
    {
      serviceName: 'audited',
      origin,
      key: 'user:7',
      staleFor: expect.any(Number),
    },
  ]);
});
