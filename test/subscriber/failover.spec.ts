import { expect, it, onTestFinished, vi } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { connectRaw, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { HOST, type RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import {
  becomes,
  connectionTo,
  Hand,
  hears,
  patient,
  summary,
} from './setup.js';

/** A port without a server. */
const NOWHERE = 1;

/**
 * Starts a master, a replica with all of its data, and the place where
 * instances find the current one.
 */
async function startReplicated() {
  const master = await startServer({
    real: true,
    args: ['--repl-diskless-sync-delay', '0'],
  });
  const replica = await startServer({
    real: true,
    args: ['--replicaof', HOST, String(master.port)],
  });
  return { master, replica };
}

async function startInstance(
  server: RedisServer,
  options: { readonly channel?: string } = {},
): Promise<{
  app: TestApp;
  lookAt(
    server: RedisServer | null,
    ...links: ('commands' | 'subscription')[]
  ): void;
}> {
  const ports = { commands: server.port, subscription: server.port };
  const app = await startApp({
    connection: connectionTo((isSubscription) =>
      isSubscription ? ports.subscription : ports.commands,
    ),
    heartbeatInterval: 100,
    heartbeatTimeout: 700,
    ...options,
  });
  return {
    app,
    lookAt: (other, ...links) => {
      for (const link of links) ports[link] = other?.port ?? NOWHERE;
    },
  };
}

interface FailOverOptions {
  /** Whether the publisher receives its own last message. */
  readonly heard?: boolean;
  /**
   * Whether the publisher publishes to the replica before its subscription is
   * there.
   */
  readonly hasty?: boolean;
  readonly whenDead?: () => void;
  readonly beforeReaderIsBack?: (publisher: TestApp) => Promise<void>;
}

/**
 * The publisher publishes messages that the replica never gets, while the
 * reader is away; then the master dies and the replica takes its place.
 */
async function failOver({
  heard = true,
  hasty = false,
  whenDead,
  beforeReaderIsBack,
}: FailOverOptions = {}) {
  const { master, replica } = await startReplicated();
  const publisher = await startInstance(master);
  const { channel } = publisher.app;
  const reader = await startInstance(master, { channel });
  const hand = new Hand(master, channel);
  await publisher.app.publisher.invalidateUser('before');
  await hears(reader.app, ['User:before']);
  const promoted = connectRaw(replica.url);
  await eventually(
    async () => expect(await promoted.xlen(hand.journal)).toBe(1),
    patient,
  );
  await promoted.replicaof('NO', 'ONE');

  reader.lookAt(null, 'commands', 'subscription');
  if (!heard) publisher.lookAt(null, 'subscription');
  await hand.killSubscriptions();
  await becomes(reader.app, 'disconnected');
  await becomes(publisher.app, heard ? 'live' : 'disconnected');
  expect(await publisher.app.publisher.invalidateUser('lost')).toMatchObject({
    status: 'delivered',
  });
  if (heard) await proved(publisher.app);

  publisher.lookAt(null, 'subscription');
  publisher.lookAt(replica, 'commands');
  master.kill();
  await becomes(publisher.app, 'disconnected');
  whenDead?.();
  if (hasty) await delivers(publisher.app);
  publisher.lookAt(replica, 'subscription');
  await beforeReaderIsBack?.(publisher.app);
  reader.lookAt(replica, 'commands', 'subscription');
  return { publisher: publisher.app, reader: reader.app };
}

const delivers = ({ publisher }: TestApp): Promise<void> =>
  eventually(
    async () =>
      expect(await publisher.invalidateUser('hasty')).toMatchObject({
        status: 'delivered',
      }),
    patient,
  );

/** Waits for a heartbeat that began after this call and succeeded. */
async function proved({ subscriber }: TestApp): Promise<void> {
  const since = performance.now();
  await eventually(() =>
    expect(subscriber.staleness()).toBeLessThan(performance.now() - since),
  );
}

describeOnRedisServer('Failover that loses the end of the journal', () => {
  it('makes the publisher of a lost message publish "everything"', async () => {
    const { publisher, reader } = await failOver();

    // The reader's own journal is complete, so it cannot know which messages it
    // missed.
    await eventually(
      () => expect(summary(reader).slice(1)).toContain('*'),
      patient,
    );
    expect(summary(publisher)).toContain('missed');
    expect(publisher.errors.map(({ message }) => message).join()).toContain(
      'may have lost invalidations',
    );
    await publisher.publisher.invalidateUser('after');
    await eventually(
      () => expect(summary(reader).at(-1)).toBe('User:after'),
      patient,
    );
    expect(summary(reader).filter((one) => one === '*')).toHaveLength(1);
  });

  it.each([
    [true, 'has received'],
    [false, 'has not received'],
  ])(
    'publishes "everything" when commands reconnect first (received: %s; the publisher %s the lost message)',
    async (heard) => {
      const { reader } = await failOver({ heard, hasty: true });

      await eventually(
        () => expect(summary(reader).slice(1)).toContain('*'),
        patient,
      );
    },
  );

  it('publishes "everything" when the publisher has not received its own lost message', async () => {
    const { reader } = await failOver({ heard: false });

    await eventually(
      () => expect(summary(reader).slice(1)).toContain('*'),
      patient,
    );
  });

  // One reading of the missed messages, then one of the publisher's last own
  // message.
  it.each([
    [1, 'is not answered', () => new Promise<never>(() => undefined)],
    [1, 'fails', () => Promise.reject(new Error('LOADING'))],
    [2, 'fails', () => Promise.reject(new Error('LOADING'))],
  ])(
    'publishes "everything" when read no. %i of the new journal %s at first',
    async (which, _, fail) => {
      const { readJournal } = RedisTransport.prototype;
      const read = vi.spyOn(RedisTransport.prototype, 'readJournal');
      onTestFinished(() => read.mockRestore());

      const { reader } = await failOver({
        beforeReaderIsBack: async (publisher) => {
          await becomes(publisher, 'live');
          await eventually(
            () => expect(read.mock.calls.length).toBeGreaterThanOrEqual(which),
            patient,
          );
        },
        whenDead: () => {
          read.mockClear();
          for (let before = 1; before < which; before++) {
            read.mockImplementationOnce(readJournal);
          }
          read.mockImplementationOnce(fail);
        },
      });

      await eventually(
        () => expect(summary(reader).slice(1)).toContain('*'),
        patient,
      );
    },
  );
});
