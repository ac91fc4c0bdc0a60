import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openCommands, RedisTransport } from '../../lib/transport/index.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { startSentinel } from '../support/redis.topologies.js';
import { startTransport } from './transport.contract.js';

describeOnRedisServer('RedisTransport with Sentinel', () => {
  it('connects after reconnect() was called repeatedly while a Sentinel was queried', async () => {
    const { sentinels, name, master, stop } = await startSentinel();
    onTestFinished(stop);
    const proxy = await startProxy(sentinels[0]!.port);
    onTestFinished(() => proxy.close());
    const { port } = proxy;
    const transport = new RedisTransport({
      connection: { sentinels: [{ host: '127.0.0.1', port }], name },
      channel: uniqueChannel(),
      journal: { maxLength: 1_000 },
      sharded: false,
      maxMessageBytes: 1_048_576,
    });
    await startTransport(transport);
    await eventually(() => expect(transport.writable).toBe(true));

    proxy.delay(200);
    await connectRaw(master.url).call('CLIENT', 'KILL', 'TYPE', 'normal');
    await eventually(() => expect(transport.writable).toBe(false));
    // Repeated like unanswered heartbeats, each sooner than the query of
    // Sentinel takes.
    for (let i = 0; i < 30; i++) {
      transport.reconnect('commands');
      await delay(20);
    }
    await eventually(() => expect(transport.writable).toBe(true));
  });

  it('queries the next Sentinel when one never responds, and leaves no socket open', async () => {
    const { sentinels, name, stop } = await startSentinel();
    onTestFinished(stop);
    const open = new Set<Socket>();
    const hole = createServer((socket) => {
      open.add(socket.resume());
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    });
    await once(hole.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void hole.close());
    const { port } = hole.address() as AddressInfo;
    const transport = new RedisTransport({
      connection: {
        sentinels: [{ host: '127.0.0.1', port }, ...sentinels],
        name,
      },
      channel: uniqueChannel(),
      journal: { maxLength: 1_000 },
      sharded: false,
      maxMessageBytes: 1_048_576,
    });
    await startTransport(transport);
    await eventually(() => expect(transport.writable).toBe(true));
    // Closed while the next query of Sentinel has only begun.
    transport.reconnect('commands');
    transport.reconnect('subscription');
    await eventually(() => expect(open.size).toBeGreaterThan(0));
    await transport.close();
    await eventually(() => expect(open.size).toBe(0));
  });

  it.each([
    ['options', (options: RedisOptions) => options],
    [
      "a client of the application's",
      (options: RedisOptions) => {
        const client = new Redis({ ...options, lazyConnect: true });
        onTestFinished(() => client.disconnect());
        return client;
      },
    ],
  ])(
    'does not send credentials without TLS when %s require TLS',
    async (_, make) => {
      const { sentinels, name, master, stop } = await startSentinel();
      onTestFinished(stop);
      const raw = connectRaw(master.url);
      await raw.acl('SETUSER', 'app', 'on', '>pw', '+@all', '~*', '&*');
      const connection = make({
        sentinels,
        name,
        username: 'app',
        password: 'pw',
        tls: { rejectUnauthorized: false },
      });
      const transport = new RedisTransport({
        connection,
        channel: uniqueChannel(),
        journal: { maxLength: 1_000 },
        sharded: false,
        maxMessageBytes: 1_048_576,
      });
      onTestFinished(() => transport.close());
      const errors: string[] = [];
      transport.start({
        onMessage: () => undefined,
        onUnverified: () => undefined,
        onSubscribed: () => undefined,
        onLost: () => undefined,
        onWritable: () => undefined,
        onError: ({ message }) => errors.push(message),
      });
      await eventually(() => expect(errors).not.toEqual([]));
      expect(transport.writable).toBe(false);
      expect(String(await raw.client('LIST'))).not.toContain('user=app');
    },
  );
});

describe('TLS options with Sentinel', () => {
  const sentinels = [{ host: '127.0.0.1', port: 1 }];

  it.each<[string, RedisOptions, RedisOptions]>([
    ['to Sentinels and master', {}, { sentinelTLS: { ca: 'x' } }],
    ['to the master only', { enableTLSForSentinelMode: true }, {}],
    ['to the Sentinels separately', { sentinelTLS: {} }, { sentinelTLS: {} }],
  ])('are applied %s', (_, given, { sentinelTLS }) => {
    const client = openCommands({
      sentinels,
      name: 'mymaster',
      tls: { ca: 'x' },
      ...given,
    }) as Redis;
    expect(client.options.enableTLSForSentinelMode).toBe(true);
    expect(client.options.sentinelTLS ?? undefined).toEqual(sentinelTLS);
  });
});
