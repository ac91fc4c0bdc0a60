import {
  InvalidationConfigurationError,
  InvalidationSerializationError,
  InvalidationTimeoutError,
} from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import {
  FOREVER,
  Hand,
  hears,
  NO_HEARTBEAT,
  startOnLinks,
  summary,
} from './setup.js';
import { startServer } from '../support/redis-server.js';

/** An offset beyond all messages of the test, and within the tolerance for clocks. */
const far = (): string => `${Date.now() + 50_000}-0`;
const patiently = { timeout: 20_000 };

async function startPair() {
  const server = await startServer();
  const connection = server.url;
  const writer = await startApp({ connection, ...NO_HEARTBEAT });
  const { channel } = writer;
  const reader = await startApp({ connection, channel, ...NO_HEARTBEAT });
  return { writer, reader, hand: new Hand(server, channel) };
}

/** Records whether the promise has settled. */
function watch(promise: Promise<unknown>): { settled: boolean } {
  const watched = { settled: false };
  const settle = (): void => void (watched.settled = true);
  promise.then(settle, settle);
  return watched;
}

describe('InvalidationSubscriber.caughtUp()', () => {
  it('lets one instance read the last write of another, every time', async () => {
    const { writer, reader } = await startPair();
    const cache = new Map<string, number>();
    let row = 0;
    reader.subscriber.subscribe(({ entityId }) =>
      cache.delete(`user:${entityId}`),
    );

    for (let round = 1; round <= 200; round++) {
      cache.set('user:1', row);
      row = round;
      const { offset } = await writer.publisher.invalidateUser('1');
      await reader.subscriber.caughtUp(offset!, patiently);
      expect(cache.get('user:1') ?? row).toBe(round);
    }
  });

  it('resolves immediately for an offset that was delivered, own messages included', async () => {
    const { writer, reader } = await startPair();
    const first = await writer.publisher.invalidateUser('1');
    const second = await writer.publisher.invalidateUser('2');
    await reader.subscriber.caughtUp(second.offset!, patiently);

    await reader.subscriber.caughtUp(first.offset!, { timeout: 1 });
    await reader.subscriber.caughtUp('0-0', { timeout: 1 });
    await writer.subscriber.caughtUp(second.offset!, patiently);
    expect(reader.stats.snapshot().received).toBe(2);
  });

  it('resolves once a missed message is replayed', async () => {
    const { reader, hand } = await startPair();
    await hand.say('before');
    await hears(reader, ['User:before']);
    const offset = await hand.mumble('lost');
    const waiting = reader.subscriber.caughtUp(offset, patiently);
    const watched = watch(waiting);
    expect(watched.settled).toBe(false);

    await hand.say('next');

    await waiting;
    expect(summary(reader)).toContain('User:lost');
  });

  it('resolves when a heartbeat finds the missed message', async () => {
    const { app, hand } = await startOnLinks({ heartbeatInterval: 50 });
    await app.subscriber.caughtUp(await hand.say('before'), patiently);

    await app.subscriber.caughtUp(await hand.mumble('lost'), patiently);

    expect(summary(app)).toEqual(['User:before', 'User:lost']);
  });

  it('resolves when everything is evicted', async () => {
    const { reader, hand } = await startPair();
    await hand.say('before');
    await hears(reader, ['User:before']);
    const waiting = reader.subscriber.caughtUp(far(), patiently);

    await hand.whileAllAreAway((multi) => multi.del(hand.journal));

    await waiting;
    expect(summary(reader)).toEqual(['User:before', 'missed']);
  });

  it('rejects with an InvalidationTimeoutError that names the timeout and the offset', async () => {
    const { reader } = await startPair();
    const offset = far();

    const error = await reader.subscriber
      .caughtUp(offset, { timeout: 20 })
      .catch((e: unknown) => e);

    expect(error).toBeInstanceOf(InvalidationTimeoutError);
    expect(error).toMatchObject({ timeout: 20 });
    expect(String(error)).toContain(offset);
  });

  it('rejects an offset in the future', async () => {
    const { reader, hand } = await startPair();
    const offset = await hand.say('before');
    for (const future of ['99999999999999-0', `${Date.now() + 90_000}-0`]) {
      await expect(
        reader.subscriber.caughtUp(future, patiently),
      ).rejects.toThrow(InvalidationSerializationError);
    }
    await reader.subscriber.caughtUp(offset, patiently);
  });

  it('accepts 1000 waiting calls, and rejects the next one immediately', async () => {
    const { reader, hand } = await startPair();
    await hand.say('before');
    await hears(reader, ['User:before']);
    const waiting = Array.from({ length: 1_000 }, (_, n) =>
      reader.subscriber.caughtUp(`${Date.now() + 40_000}-${n}`, patiently),
    );
    const watched = watch(Promise.race(waiting));

    await expect(reader.subscriber.caughtUp(far(), patiently)).rejects.toThrow(
      InvalidationTimeoutError,
    );

    await hand.say('others');
    await hears(reader, ['User:before', 'User:others']);
    expect(watched.settled).toBe(false);
    await hand.whileAllAreAway((multi) => multi.del(hand.journal));
    await Promise.all(waiting);
  });

  it('keeps other calls waiting when one times out', async () => {
    const { reader, hand } = await startPair();
    await hand.say('before');
    await hears(reader, ['User:before']);
    const offset = await hand.mumble('lost');
    const patient = reader.subscriber.caughtUp(offset, patiently);
    const watched = watch(patient);

    await expect(
      reader.subscriber.caughtUp(offset, { timeout: 1 }),
    ).rejects.toThrow(InvalidationTimeoutError);

    expect(watched.settled).toBe(false);
    await hand.say('next');
    await patient;
  });

  it.each([
    '',
    '0',
    '-',
    '+',
    '1-',
    '1-1 ',
    '-1-1',
    '1.5-0',
    '$',
    'x'.repeat(10_000),
    '1-1-1',
    '123456789012345678901-0',
    null as unknown as string,
    undefined as unknown as string,
    {} as unknown as string,
  ])('rejects invalid offset %#', async (offset) => {
    const app = await startApp();
    await expect(app.subscriber.caughtUp(offset)).rejects.toThrow(
      InvalidationSerializationError,
    );
  });

  it.each([
    { timeout: Number.NaN },
    { timeout: -1 },
    { timeout: -Infinity },
    { timeout: '500' },
    { timeout: null },
    { timeout: 5n },
    null,
    500,
    'soon',
  ])('rejects the options %o', async (options) => {
    const app = await startApp();
    const error = await app.subscriber
      .caughtUp(far(), options as never)
      .catch((e: unknown) => e);

    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    expect(error).toMatchObject({ problems: [{ field: 'timeout' }] });
  });

  // Node's timers fire at once for a delay beyond 32 bits.
  it.each([Infinity, 2 ** 31, Number.MAX_VALUE])(
    'waits without a limit for a timeout of %d ms',
    async (timeout) => {
      const { reader } = await startPair();
      const warnings: Error[] = [];
      const warn = (warning: Error): unknown => warnings.push(warning);
      process.on('warning', warn);
      onTestFinished(() => void process.off('warning', warn));
      const watched = watch(reader.subscriber.caughtUp(far(), { timeout }));

      const later = reader.subscriber.caughtUp(far(), { timeout: 20 });
      await expect(later).rejects.toThrow(InvalidationTimeoutError);

      expect(watched.settled).toBe(false);
      expect(warnings).toEqual([]);
    },
  );

  it('rejects immediately with a timeout of 0', async () => {
    const { reader } = await startPair();
    await expect(
      reader.subscriber.caughtUp(far(), { timeout: 0 }),
    ).rejects.toThrow(InvalidationTimeoutError);
  });

  it('compares offsets as numbers, beyond the precision of a double', async () => {
    const { reader, hand } = await startPair();
    const last = await hand.say('before');
    await hears(reader, ['User:before']);
    const [ms, seq] = last.split('-').map(BigInt) as [bigint, bigint];

    await reader.subscriber.caughtUp(`${ms}-${seq}`, { timeout: 1 });
    await reader.subscriber.caughtUp(`9-${2n ** 64n - 1n}`, { timeout: 1 });
    await expect(
      reader.subscriber.caughtUp(`${ms}-${seq + 1n}`, { timeout: 1 }),
    ).rejects.toThrow(InvalidationTimeoutError);
  });

  it('rejects with a configuration error without a journal', async () => {
    const app = await startApp({ journal: false });
    await expect(app.subscriber.caughtUp('1-1')).rejects.toThrow(
      InvalidationConfigurationError,
    );
  });

  it('resolves when the module is disabled', async () => {
    const app = await startApp({ enabled: false });
    await app.subscriber.caughtUp(far(), { timeout: FOREVER });
    expect(app.states).not.toContain('live');
  });

  it('does not delay the shutdown, and rejects after it', async () => {
    const { reader } = await startPair();
    const waiting = watch(
      reader.subscriber.caughtUp(far(), { timeout: FOREVER }),
    );

    await reader.close();

    await eventually(() => expect(waiting.settled).toBe(true));
    await expect(
      reader.subscriber.caughtUp(far(), { timeout: 1 }),
    ).rejects.toThrow(InvalidationTimeoutError);
  });
});
