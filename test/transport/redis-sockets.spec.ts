import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { openCommands, openEntries } from '../../lib/transport/index.js';
import { openSubscription } from '../../lib/transport/redis/open-subscription.js';

const openers = {
  commands: (url: string) => openCommands(url) as Redis,
  entries: (url: string) => openEntries(url) as Redis,
  subscription: (url: string) => openSubscription(openCommands(url), null)!,
};

it.each(Object.entries(openers))(
  'A second error of one socket does not crash the process: %s',
  async (_name, open) => {
    const client = open(inject('redisUrl'));
    const errors = errorsOf(client);
    client.connect().catch(() => undefined);
    await once(client, 'ready');
    const { stream } = client as unknown as { readonly stream: Socket };
    stream.emit('error', new Error('certificate has expired'));
    expect(() => stream.emit('error', new Error('alert'))).not.toThrow();
    expect(errors).toEqual(['certificate has expired']);
  },
);

describe('A server that closes a connection before it answers', () => {
  it.each(Object.entries(openers))('is reported: %s', async (_name, open) => {
    const client = open(await closingServer());
    const errors = errorsOf(client);
    await expect(client.connect()).rejects.toThrow('Connection is closed');
    expect(errors).toContainEqual(
      expect.stringContaining('closed before it was answered'),
    );
  });

  it('is not reported to whom disconnects meanwhile', async () => {
    const client = openers.commands(await closingServer());
    const errors = errorsOf(client);
    client.once('connect', () => client.disconnect());
    await expect(client.connect()).rejects.toThrow('Connection is closed');
    expect(errors).toEqual([]);
  });
});

/** A server that reads a command, and then ends the connection in good order. */
async function closingServer(): Promise<string> {
  const server = createServer((socket) =>
    socket.on('error', () => undefined).once('data', () => socket.end()),
  );
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return `redis://127.0.0.1:${port}`;
}

function errorsOf(client: Redis): string[] {
  onTestFinished(() => client.disconnect());
  const errors: string[] = [];
  client.on('error', ({ message }: Error) => errors.push(message));
  return errors;
}
