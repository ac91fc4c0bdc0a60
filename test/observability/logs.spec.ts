import { OnInvalidation } from 'nestjs-cache-invalidation';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { connectRaw, LogRecorder, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { hears, journalOf, patient, users, wire } from '../subscriber/setup.js';

const SECRET = 'ada@example.com';

async function startLink(): Promise<Proxy> {
  const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
  onTestFinished(() => proxy.close());
  return proxy;
}

/** A reader that has received one message, over a link that can be cut. */
async function startPair() {
  const link = await startLink();
  const writer = await startApp();
  const logger = new LogRecorder();
  const reader = await startApp({
    channel: writer.channel,
    connection: link.url,
    logger,
  });
  await writer.publisher.invalidate('User', 0);
  await hears(reader, users(0));
  return { link, writer, reader, logger };
}

function matching(logger: LogRecorder, text: string): string[] {
  return logger.lines.filter((line) => line.includes(text));
}

describe('Log', () => {
  it('reports what a reconnect has replayed or widened, without names of entities', async () => {
    const { link, writer, reader, logger } = await startPair();
    link.swallow();
    await writer.publisher.invalidate('User', SECRET);
    await writer.publisher.invalidatePattern(`user:${SECRET}:*`);
    link.cut();
    link.pass();
    await eventually(() => expect(reader.messages).toHaveLength(3), patient);

    const said = await eventually(() => {
      const lines = matching(logger, 'replayed from the journal');
      expect(lines).toHaveLength(1);
      return lines;
    });
    expect(said[0]).toContain('2 missed messages were replayed');
    expect(matching(logger, 'Live on channel')).toHaveLength(2);
    expect(logger.lines.join()).not.toContain(SECRET);
  });

  it('reports in one line that Redis is back, and the length of the outage', async () => {
    const { link, reader, logger } = await startPair();
    link.cut();
    await eventually(() => {
      expect(matching(logger, 'Live on channel')).toEqual([
        expect.stringMatching(/^Live on channel "[^"]+"\./),
        expect.stringMatching(
          /^Live on channel "[^"]+" after \d+\.\d s without Redis\./,
        ),
      ]);
    }, patient);
    expect(reader.subscriber.status.state).toBe('live');
    expect(matching(logger, 'Redis answers again')).toEqual([]);
  });

  it('reports how long a start without Redis took to become live', async () => {
    const link = await startLink();
    link.swallow();
    const logger = new LogRecorder();
    await startApp({ connection: link.url, startupTimeout: 100, logger });
    link.pass();
    link.cut();
    await eventually(() => {
      expect(matching(logger, 'Live on channel')).toEqual([
        expect.stringMatching(/after \d+\.\d s without Redis\./),
      ]);
    }, patient);
  });

  it('reports the cause of a widened message', async () => {
    const { link, writer, reader, logger } = await startPair();
    await connectRaw().del(journalOf(writer.channel));
    link.cut();
    await hears(reader, ['User:0', 'missed']);

    expect(matching(logger, 'More was evicted')).toEqual([
      expect.stringContaining('the journal does not hold them'),
    ]);
  });

  it('is not flooded by an error of every message', async () => {
    const logger = new LogRecorder();
    const app = await startApp({ logger });
    const redis = connectRaw();
    for (let i = 0; i < 50; i++) {
      await redis.publish(app.channel, wire(SECRET, { action: 'Touch' }));
    }
    await eventually(() => expect(app.messages).toHaveLength(50));

    const lines = matching(logger, 'was not understood');
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(10);
    expect(logger.lines.join()).not.toContain(SECRET);
  });

  it('reports the number of queued messages once Redis has taken them', async () => {
    const link = await startLink();
    const logger = new LogRecorder();
    const app = await startApp({
      connection: link.url,
      publishTimeout: 20,
      logger,
    });
    link.swallow();
    await app.publisher.invalidate('User', SECRET);
    await app.publisher.invalidate('User', 2);
    expect(matching(logger, 'what waited')).toEqual([]);
    link.cut();
    link.pass();
    await eventually(() => expect(app.publisher.pending).toBe(0), patient);

    expect(matching(logger, 'what waited')).toEqual([
      expect.stringContaining('2 invalidations'),
    ]);
    expect(logger.lines.join()).not.toContain(SECRET);
  });

  it('names the handler that exceeded its limit', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    class Slow {
      @OnInvalidation()
      hold(): Promise<void> {
        return held;
      }
    }
    const logger = new LogRecorder();
    const app = await startApp({
      handlerQueueLimit: 2,
      providers: [Slow],
      logger,
    });
    for (let i = 0; i < 5; i++) await app.publisher.invalidate('User', i);
    release();

    expect(matching(logger, 'fell behind')).toEqual([
      expect.stringMatching(/^Slow\.hold fell behind by more than 2 messages/),
    ]);
  });
});
