import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { expect, inject, it, onTestFinished } from 'vitest';
import { openCommands, openEntries } from '../../lib/transport/index.js';
import { openSubscription } from '../../lib/transport/redis/open-subscription.js';

const clients = {
  commands: () => openCommands(inject('redisUrl')) as Redis,
  entries: () => openEntries(inject('redisUrl')) as Redis,
  subscription: () => openSubscription(openCommands(inject('redisUrl')), null)!,
};

it.each(Object.entries(clients))(
  'A second error of one socket does not crash the process: %s',
  async (_name, open) => {
    const client = open();
    onTestFinished(() => client.disconnect());
    const errors: string[] = [];
    client.on('error', ({ message }: Error) => errors.push(message));
    client.connect().catch(() => undefined);
    await once(client, 'ready');
    const { stream } = client as unknown as { readonly stream: Socket };
    stream.emit('error', new Error('certificate has expired'));
    expect(() => stream.emit('error', new Error('alert'))).not.toThrow();
    expect(errors).toEqual(['certificate has expired']);
  },
);
