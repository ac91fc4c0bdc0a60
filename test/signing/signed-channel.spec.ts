import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { entity, encodeMessage, Instance } from '../../lib/message/index.js';
import { MessageSigner } from '../../lib/signing/index.js';
import { journalKey } from '../../lib/transport/redis/journal-key.js';
import { connectRaw, said, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { NEW, OLD, signing, STRANGE } from './keys.js';

/** A heartbeat is not waited for: catch-up is due to a gap only. */
const CALM = { heartbeatInterval: 60_000 };

async function startPair(
  options: Parameters<typeof startApp>[0] = {},
): Promise<[TestApp, TestApp]> {
  const writer = await startApp({ signing: signing(), ...CALM, ...options });
  const { channel } = writer;
  const reader = await startApp({
    signing: signing(),
    ...CALM,
    channel,
    ...options,
  });
  return [writer, reader];
}

async function journaled(redis: Redis, channel: string): Promise<string[]> {
  const entries = await redis.xrange(journalKey(channel), '-', '+');
  return entries.map(([, [, payload = '']]) => payload);
}

function unverified(app: TestApp): number {
  return app.stats.snapshot().unverified;
}

/** A message that nobody signed. */
function forgery(id = 'forged'): string {
  const message = new Instance('attacker').stamp(entity('User', id));
  return encodeMessage(message, Infinity);
}

describe('a signed channel', () => {
  it('delivers messages, their echoes, and what was missed', async () => {
    const [writer, reader] = await startPair();
    const { offset } = await writer.publisher.invalidate('User', 1);
    await reader.subscriber.caughtUp(offset!);
    await writer.subscriber.caughtUp(offset!);
    expect(reader.messages.map(said)).toEqual(['User:1']);
    expect(writer.messages.map(said)).toEqual(['User:1']);
    const redis = connectRaw();
    const [payload] = await journaled(redis, writer.channel);
    expect(payload).toMatch(
      /,"kid":"new","mac":"[\w-]{43}","offset":"\d+-\d+","previous":"0-0","seal":"[0-9a-f]{40}","origin":"/,
    );
    expect(payload).not.toContain(NEW);
    expect([unverified(reader), unverified(writer)]).toEqual([0, 0]);
  });

  it('does not obey a forged message, nor its place, and evicts everything once', async () => {
    const [writer, reader] = await startPair();
    await writer.publisher.invalidate('User', 0);
    const redis = connectRaw();
    for (let at = 0; at < 50; at++)
      await redis.publish(writer.channel, forgery());
    await eventually(() => expect(unverified(reader)).toBe(50));
    const { offset } = await writer.publisher.invalidate('User', 1);
    await reader.subscriber.caughtUp(offset!);
    expect(reader.messages.map(said)).toEqual(['User:0', '*', 'User:1']);
    expect(reader.messages[1]).toMatchObject({ widened: 'unverified' });
    expect(reader.errors.map(({ message }) => message)).toEqual([
      expect.stringMatching(/has no signature, and was not obeyed/),
    ]);
  });

  it('obeys neither a genuine message at another place nor a changed one, and evicts nothing', async () => {
    const [writer, reader] = await startPair();
    const { offset: tail } = await writer.publisher.invalidate('User', 1);
    const redis = connectRaw();
    const [genuine = ''] = await journaled(redis, writer.channel);
    const next = `${Date.now() + 1}-1`;
    const moved = genuine
      .replace(/"offset":"[^"]+"/, `"offset":"${next}"`)
      .replace(/"previous":"[^"]+"/, `"previous":"${tail}"`);
    await redis.publish(writer.channel, moved);
    await redis.publish(writer.channel, genuine.replace('"1"', '"2"'));
    await eventually(() => expect(unverified(reader)).toBe(2));
    const { offset } = await writer.publisher.invalidate('User', 3);
    await reader.subscriber.caughtUp(offset!);
    expect(reader.messages.map(said)).toEqual(['User:1', 'User:3']);
  });

  it.each([
    ['an unknown key', { strange: STRANGE }, ['User:1', '*']],
    // The journal has the message as well, and its chain breaks there.
    ['another secret under a known id', { new: STRANGE }, ['User:1', '*']],
  ])('widens the messages of a service with %s', async (_, keys, delivered) => {
    const [writer, reader] = await startPair();
    await writer.publisher.invalidate('User', 1);
    const { channel } = writer;
    const other = await startApp({ channel, signing: signing(keys), ...CALM });
    await other.publisher.invalidate('User', 2);
    await eventually(() => expect(unverified(reader)).toBeGreaterThan(0));
    const { offset } = await writer.publisher.invalidate('User', 3);
    await reader.subscriber.caughtUp(offset!);
    await eventually(() => {
      expect(reader.messages.map(said).slice(0, 2)).toEqual(delivered);
    });
    expect(reader.messages.map(said)).not.toContain('User:2');
  });

  it('widens for an entry of the journal that cannot be verified', async () => {
    const [writer, reader] = await startPair();
    const { offset: tail } = await writer.publisher.invalidate('User', 1);
    await reader.subscriber.caughtUp(tail!);
    const redis = connectRaw();
    const id = `${Date.now() + 1}-1`;
    const fake = forgery().replace(
      ',"origin"',
      `,"offset":"${id}","previous":"${tail}","origin"`,
    );
    await redis.xadd(journalKey(writer.channel), id, 'm', fake);
    const { offset } = await writer.publisher.invalidate('User', 2);
    await reader.subscriber.caughtUp(offset!);
    // The end of the journal, up to which everything is evicted, may include it.
    expect(reader.messages.map(said).slice(0, 2)).toEqual(['User:1', '*']);
    expect(unverified(reader)).toBe(1);
  });

  it('publishes again if the earlier try that it finds in the journal is forged', async () => {
    const [writer, reader] = await startPair();
    const { offset: first } = await writer.publisher.invalidate('User', 1);
    await reader.subscriber.caughtUp(first!);
    const { payload, messageId } = stored();
    const redis = connectRaw();
    // Somebody knows the id of a message that waits, and claims that it was published.
    await redis.xadd(
      journalKey(writer.channel),
      '*',
      'm',
      forgery().replace(/"message_id":"[^"]+"/, `"message_id":"${messageId}"`),
    );
    const outbox = {
      pending: async () => [payload],
      remove: async () => undefined,
    };
    const { channel } = writer;
    await startApp({ channel, signing: signing(), durableOutbox: outbox });
    const signer = MessageSigner.of(signing(), channel)!;
    await eventually(async () => {
      const entries = await journaled(redis, channel);
      const tries = entries.filter((entry) => entry.includes(messageId));
      expect(tries.map((entry) => signer.verify(entry))).toEqual([
        'unsigned',
        null,
      ]);
    });
  });

  it('without a journal, evicts everything for a message that cannot be verified', async () => {
    const [writer, reader] = await startPair({ journal: false });
    await writer.publisher.invalidate('User', 1);
    const { channel } = writer;
    const keys = { new: STRANGE };
    const other = await startApp({
      channel,
      signing: signing(keys),
      journal: false,
    });
    await other.publisher.invalidate('User', 2);
    await eventually(() =>
      expect(reader.messages.map(said)).toEqual(['User:1', '*']),
    );
  });

  it('takes unsigned messages while "all" is accepted: the rollout', async () => {
    const accept = 'all' as const;
    const both = signing({ new: NEW, old: OLD }, { accept });
    const writer = await startApp();
    const { channel } = writer;
    const reader = await startApp({ channel, signing: both });
    const strict = await startApp({ channel, signing: signing({ new: NEW }) });
    const { offset } = await writer.publisher.invalidate('User', 1);
    await reader.subscriber.caughtUp(offset!);
    expect(reader.messages.map(said)).toEqual(['User:1']);
    await reader.publisher.invalidate('User', 2);
    await eventually(() => {
      expect(writer.messages.map(said)).toEqual(['User:1', 'User:2']);
    });
    expect(unverified(reader)).toBe(0);
    expect(unverified(strict)).toBeGreaterThan(0);
  });
});

/** A row of a durable outbox. */
function stored(): { payload: string; messageId: string } {
  const message = new Instance('writer').stamp(entity('User', 'stored'));
  const messageId = randomUUID();
  return {
    payload: encodeMessage({ ...message, messageId }, Infinity),
    messageId,
  };
}
