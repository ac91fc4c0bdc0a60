import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  RedisTransport,
  type RedisConnection,
} from '../../lib/transport/index.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { watchHandles } from '../support/open-handles.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { type RedisServer } from '../support/redis.js';
import { about, idsOf, receiversOf } from './messages.js';
import { RecordingListener, startTransport } from './transport.contract.js';
import { startServer } from '../support/redis-server.js';

/** A timeout beyond the limit for a connection that hangs while opening. */
const slow = { timeout: 20_000 };

interface Link {
  readonly server: RedisServer;
  readonly proxy: Proxy;
  readonly raw: Redis;
  readonly channel: string;
  readonly transport: RedisTransport;
  readonly listener: RecordingListener;
}

/** A transport whose connections go through a proxy. */
async function startLink(
  connect: (url: string) => RedisConnection = (url) => url,
): Promise<Link> {
  const server = await startServer();
  const proxy = await startProxy(server.port);
  onTestFinished(() => proxy.close());
  const channel = uniqueChannel();
  const transport = open(connect(proxy.url), channel);
  const listener = await startTransport(transport);
  // The server knows the script from now on.
  await transport.publish([about('first')]);
  await eventually(() => expect(listener.payloads.splice(0)).toHaveLength(1));
  const raw = connectRaw(server.url);
  return { server, proxy, raw, channel, transport, listener };
}

function open(connection: RedisConnection, channel: string): RedisTransport {
  const journal = { maxLength: 1_000 };
  return new RedisTransport({
    connection,
    channel,
    journal,
    sharded: false,
    maxMessageBytes: 1_048_576,
  });
}

/** Records the outcome of a promise. */
function follow(promise: Promise<unknown>): { outcome: string } {
  const state = { outcome: 'pending' };
  promise.then(
    () => (state.outcome = 'resolved'),
    () => (state.outcome = 'rejected'),
  );
  return state;
}

function count(listener: RecordingListener, event: string): number {
  return listener.events.filter((each) => each === event).length;
}

async function expectToWork({ transport, listener }: Link): Promise<void> {
  await eventually(async () => {
    expect(transport.writable).toBe(true);
    // Redis may still count a subscriber whose connection is dead.
    const [receivers] = receiversOf(await transport.publish([about('after')]));
    expect(receivers).toBeGreaterThan(0);
    await transport.ping();
    expect(idsOf(listener.payloads)).toContain('after');
  }, slow);
}

describe('RedisTransport: a half-open connection', () => {
  it.each([undefined, 'up', 'down'] as const)(
    'replaces the subscription connection (%s) after an unanswered PING',
    async (direction) => {
      const link = await startLink();
      const { proxy, transport, listener } = link;
      proxy.swallow(direction);

      const ping = follow(transport.ping());
      await eventually(() => expect(proxy.swallowed).toBeGreaterThan(0));
      expect(ping.outcome).toBe('pending');
      // No connection has reported the loss.
      expect(count(listener, 'lost')).toBe(0);
      proxy.pass();
      transport.reconnect('subscription');

      await eventually(() => expect(ping.outcome).toBe('rejected'));
      await eventually(() => {
        expect(count(listener, 'lost')).toBe(1);
        expect(count(listener, 'subscribed')).toBe(2);
      }, slow);
      transport.reconnect('commands');
      await expectToWork(link);
    },
  );

  it('replaces the subscription connection again when the new one hangs, too', async () => {
    const link = await startLink();
    const { proxy, transport, listener } = link;
    proxy.swallow();
    transport.reconnect('subscription');
    await eventually(() => expect(count(listener, 'lost')).toBe(1));
    // The new connection hangs as well.
    const links = proxy.links;
    await eventually(() => expect(proxy.links).toBeGreaterThan(links));
    const swallowed = proxy.swallowed;
    await eventually(() => expect(proxy.swallowed).toBeGreaterThan(swallowed));
    await expect(transport.ping()).rejects.toThrow('Not subscribed');
    proxy.pass();

    await eventually(() => expect(count(listener, 'subscribed')).toBe(2), slow);
    transport.reconnect('commands');
    await expectToWork(link);
  });

  it('replaces the commands connection, and fails commands in flight', async () => {
    const link = await startLink();
    const { proxy, raw, channel, transport, listener } = link;
    proxy.swallow('down');

    const unanswered = transport.publish([about('unanswered')]);
    const reading = follow(transport.journalTail());
    await eventually(async () =>
      expect(await raw.xlen(`{${channel}}:journal`)).toBe(2),
    );
    expect(transport.writable).toBe(true);
    proxy.pass();
    transport.reconnect('commands');

    expect(await unanswered).toEqual([expect.any(Error)]);
    await eventually(() => expect(reading.outcome).toBe('rejected'));
    await eventually(() => expect(count(listener, 'writable')).toBe(2), slow);
    transport.reconnect('subscription');
    await expectToWork(link);
  });

  it('replaces the commands connection again when the new one hangs, too', async () => {
    const link = await startLink();
    const { proxy, transport, listener } = link;
    proxy.swallow();
    transport.reconnect('commands');
    await eventually(() => expect(transport.writable).toBe(false));
    await eventually(() => expect(proxy.swallowed).toBeGreaterThan(0));
    proxy.pass();
    const [reply] = await transport.publish([about('meanwhile')]);
    expect(reply).toBeInstanceOf(Error);

    transport.reconnect('commands');

    await eventually(() => expect(count(listener, 'writable')).toBe(2), slow);
    transport.reconnect('subscription');
    await expectToWork(link);
  });
});

describe('RedisTransport: a slow connection', () => {
  it('ping() resolves after all earlier messages were received', async () => {
    const link = await startLink();
    const { proxy, transport, listener } = link;
    const other = open(link.server.url, link.channel);
    await startTransport(other);
    proxy.delay(200);

    for (let round = 1; round <= 3; round++) {
      await other.publish([about(round), about(round)]);
      expect(listener.payloads.length).toBeLessThan(round * 2);
      await transport.ping();
      expect(listener.payloads).toHaveLength(round * 2);
    }
  });
});

describe('RedisTransport: a broken connection', () => {
  it('settles every publish in flight, and finds in the journal which ones arrived', async () => {
    const link = await startLink();
    const { proxy, raw, channel, transport, listener } = link;
    const payloads = Array.from({ length: 300 }, (_, i) => about(i));
    proxy.delay(20);
    const calls = payloads.map((payload) => transport.publish([payload]));
    await eventually(async () =>
      expect(await raw.xlen(`{${channel}}:journal`)).toBeGreaterThan(1),
    );
    proxy.cut();
    proxy.delay(0);

    const settled = (await Promise.all(calls)).flat();
    expect(settled).toHaveLength(300);
    await eventually(() => {
      expect(count(listener, 'lost')).toBe(1);
      expect(count(listener, 'writable')).toBe(2);
      expect(count(listener, 'subscribed')).toBe(2);
    });

    // A retry of each message, as by the queue: the journal has each once.
    const again = await transport.publish(payloads, '-');
    expect(again.filter((reply) => reply instanceof Error)).toEqual([]);
    const journal = await transport.readJournal('-', 1_000);
    expect(idsOf(journal.map(({ payload }) => payload))).toHaveLength(301);
    await expectToWork(link);
  });
});

describe('RedisTransport.close() releases sockets, timers and listeners', () => {
  it.each<
    [
      string,
      (
        link: Pick<Link, 'server' | 'proxy' | 'transport' | 'listener'>,
      ) => unknown,
    ]
  >([
    ['when idle', () => undefined],
    [
      'with a publish under way',
      ({ transport }) => transport.publish([about(1)]),
    ],
    [
      'on a half-open link',
      ({ proxy, transport }) => {
        proxy.swallow();
        void transport.publish([about(1)]);
        void transport.ping().catch(() => undefined);
      },
    ],
    [
      'while it replaces the subscription connection',
      ({ transport }) => transport.reconnect('subscription'),
    ],
    [
      'while it replaces the commands connection',
      ({ transport }) => transport.reconnect('commands'),
    ],
    [
      'while both connects hang',
      async ({ proxy, transport }) => {
        proxy.swallow();
        transport.reconnect('commands');
        transport.reconnect('subscription');
        await eventually(() => expect(proxy.swallowed).toBeGreaterThan(1));
      },
    ],
    [
      'while it waits for a server that is gone',
      async ({ server, listener }) => {
        server.kill();
        await eventually(() => expect(listener.events).toContain('lost'));
      },
    ],
  ])('%s', async (_, fault) => {
    const server = await startServer();
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    const handles = watchHandles('/lib/transport/');
    const transport = open(proxy.url, uniqueChannel());
    const listener = await startTransport(transport);

    await fault({ server, proxy, transport, listener });
    await transport.close();
    const told = listener.events.length;
    await expect(transport.journalTail()).rejects.toThrow(/clos|writ/i);
    await expect(transport.ping()).rejects.toThrow(/clos|writ|subscribed/i);

    // At least two sockets, or the test would not detect any.
    expect(handles().made).toBeGreaterThanOrEqual(2);
    await eventually(() => expect(handles().left).toEqual([]));
    expect(listener.events).toHaveLength(told);
  });
});
