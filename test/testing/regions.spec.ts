import { Test } from '@nestjs/testing';
import {
  entity,
  InvalidationSubscriber,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import {
  CacheInvalidationTestingModule,
  InMemoryBroker,
} from 'nestjs-cache-invalidation/testing';
import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.js';

it('relays what is published in another region of the broker', async () => {
  const broker = new InMemoryBroker();
  const module = await Test.createTestingModule({
    imports: [
      CacheInvalidationTestingModule.register({
        broker,
        regions: {
          local: 'eu',
          sources: { us: { connection: 'redis://127.0.0.1:1' } },
        },
      }),
    ],
  }).compile();
  const messages: InvalidationMessage[] = [];
  module.get(InvalidationSubscriber).messages$.subscribe((message) => {
    messages.push(message);
  });
  await module.init();
  onTestFinished(() => module.close());
  await eventually(() => expect(messages).toHaveLength(1));
  broker.region('us').emit(entity('User', 1));
  await eventually(() =>
    expect(messages.at(-1)).toMatchObject({ entityId: '1', region: 'us' }),
  );
});
