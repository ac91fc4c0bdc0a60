import { describe, expect, it, onTestFinished } from 'vitest';
import type { RegionSource } from 'nestjs-cache-invalidation';
import { relayKey, journalKey } from '../../lib/transport/index.js';
import { connectRaw, said, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { startRegions, type Region } from './regions.js';

/** Waits until everything of all sources was proven to have arrived. */
async function current(...apps: TestApp[]): Promise<void> {
  const since = performance.now();
  await eventually(() => {
    for (const { subscriber } of apps) {
      expect(subscriber.staleness()).toBeLessThan(performance.now() - since);
    }
  });
}

async function proxied(region: Region) {
  const proxy = await startProxy(region.redis.port);
  onTestFinished(() => proxy.close());
  const source: RegionSource = { connection: proxy.url };
  return { proxy, source };
}

/** Two regions whose link is cut, after one message that has crossed it. */
async function cutOff() {
  const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
  const { proxy, source } = await proxied(us);
  const reader = await eu.app({ us: source });
  const writer = await us.app();
  await current(reader);
  await writer.publisher.invalidate('User', 0);
  await current(reader);
  proxy.swallow();
  proxy.cut();
  const heal = (): void => {
    proxy.pass();
    proxy.cut();
  };
  return { us, reader, writer, heal };
}

function journalOf({ redis, channel }: Region) {
  const client = connectRaw(redis.url);
  return {
    client,
    key: journalKey(channel),
    record: (source: string) => relayKey(channel, source),
    messages: async () => {
      const entries = await client.xrange(journalKey(channel), '-', '+');
      return entries.map(([, [, payload = '']]) => JSON.parse(payload));
    },
  };
}

describe('RegionRelay', () => {
  it('carries an invalidation to the other region, and not back', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({ us });
    const writer = await us.app({ eu });
    await current(reader, writer);
    await writer.publisher.invalidate('User', 1);
    await reader.publisher.invalidate('User', 2);
    await current(reader, writer);
    expect(reader.messages.map(said).toSorted()).toEqual([
      '*',
      'User:1',
      'User:2',
    ]);
    expect(writer.messages.map(said).toSorted()).toEqual([
      '*',
      'User:1',
      'User:2',
    ]);
    const [fromUs] = reader.messages
      .filter(({ region }) => region === 'us')
      .slice(-1);
    expect(fromUs).toMatchObject({ region: 'us', path: ['eu'], own: false });
  });

  it('replays what it missed during a cut', async () => {
    const { reader, writer, heal } = await cutOff();
    for (let id = 1; id <= 100; id++)
      await writer.publisher.invalidate('User', id);
    expect(reader.messages.map(said)).toEqual(['*', 'User:0']);
    heal();
    await eventually(() => expect(reader.messages).toHaveLength(102));
    expect(reader.messages.map(said)).toEqual([
      '*',
      ...Array.from({ length: 101 }, (_, at) => `User:${at}`),
    ]);
  });

  it('widens once for a cut that the journal does not cover', async () => {
    const { us, reader, writer, heal } = await cutOff();
    await writer.publisher.invalidate('User', 1);
    await writer.publisher.invalidate('User', 2);
    const { client, key } = journalOf(us);
    await client.xtrim(key, 'MAXLEN', 1);
    heal();
    await eventually(() => expect(reader.messages.length).toBeGreaterThan(2));
    await writer.publisher.invalidate('User', 3);
    await current(reader);
    expect(reader.messages.map(said)).toEqual(['*', 'User:0', '*', 'User:3']);
  });

  it('goes on where another process has stopped', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const first = await eu.app({ us });
    const writer = await us.app();
    await current(first);
    await writer.publisher.invalidate('User', 1);
    await current(first);
    await first.close();
    await writer.publisher.invalidate('User', 2);
    const second = await eu.app({ us });
    await writer.publisher.invalidate('User', 3);
    await current(second);
    const journal = await journalOf(eu).messages();
    expect(
      journal.map(({ entity_id, pattern }) => entity_id ?? pattern),
    ).toEqual(['*', '1', '2', '3']);
  });

  it('reads a source in one instance of several', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const apps = await Promise.all([
      eu.app({ us }),
      eu.app({ us }),
      eu.app({ us }),
    ]);
    const writer = await us.app();
    await current(...apps);
    await writer.publisher.invalidate('User', 1);
    await current(...apps);
    for (const { messages } of apps) {
      expect(messages.map(said).filter((text) => text !== '*')).toEqual([
        'User:1',
      ]);
    }
    const subscribers = await connectRaw(us.redis.url).pubsub(
      'NUMSUB',
      us.channel,
    );
    expect(subscribers[1]).toBe(2);
  });

  it('does not forward what another relay has forwarded', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({ us });
    const writer = await us.app();
    await current(reader);
    const { client, record } = journalOf(eu);
    // Another relay moves the record, and then this one begins again there.
    const tail = await client.hget(record('us'), 'offset');
    await client.hset(record('us'), 'offset', '1-1');
    await writer.publisher.invalidate('User', 1);
    await eventually(async () => {
      expect(await client.hget(record('us'), 'offset')).not.toBe('1-1');
    });
    await current(reader);
    // The entry at 1-1 is not there: everything in its place.
    expect(reader.messages.map(said)).toEqual(['*', '*']);
    expect(tail).not.toBeNull();
  });

  it('stays where it is when an old message comes again', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({ us });
    const writer = await us.app();
    await current(reader);
    await writer.publisher.invalidate('User', 1);
    const { offset } = await writer.publisher.invalidate('User', 2);
    await current(reader);
    const source = journalOf(us);
    const [first] = await source.client.xrange(source.key, '-', '+');
    await source.client.publish(us.channel, first![1][1]!);
    const heard = () => reader.messages.map(said);
    await eventually(() =>
      expect(heard()).toEqual(['*', 'User:1', 'User:2', 'User:1']),
    );
    const { client, record } = journalOf(eu);
    expect(await client.hget(record('us'), 'offset')).toBe(offset);
  });

  it('forwards messages of publishers without a journal, and widens after each cut', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const { proxy, source } = await proxied(us);
    const reader = await eu.app({ us: source });
    await current(reader);
    const raw = connectRaw(us.redis.url);
    const publish = (id: string) =>
      raw.publish(
        us.channel,
        JSON.stringify({
          message_id: '0b4f1a3e-27c8-4dc4-9f6b-52d2f5f0a111',
          entity_type: 'User',
          entity_id: id,
          action: 'Delete',
          timestamp: '2026-11-29T00:00:00Z',
          source_service: 'rust',
        }),
      );
    await publish('1');
    await eventually(() =>
      expect(reader.messages.map(said)).toEqual(['*', 'User:1']),
    );
    proxy.cut();
    await eventually(() =>
      expect(reader.messages.map(said)).toEqual(['*', 'User:1', '*']),
    );
    await publish('2');
    await eventually(() =>
      expect(reader.messages.map(said)).toEqual(['*', 'User:1', '*', 'User:2']),
    );
  });

  it('carries messages through a hub to the spokes, once', async () => {
    const [a, hub, b] = (await startRegions('a', 'hub', 'b')) as [
      Region,
      Region,
      Region,
    ];
    const transit = { connection: hub.redis.url, transit: true };
    const inHub = await hub.app({ a, b });
    const inA = await a.app({ hub: transit });
    const inB = await b.app({ hub: transit });
    await current(inHub, inA, inB);
    const before = inB.messages.length;
    await inA.publisher.invalidate('User', 1);
    await eventually(() => expect(inB.messages.map(said)).toContain('User:1'));
    await current(inHub, inA, inB);
    expect(inB.messages.slice(before).map(said)).toEqual(['User:1']);
    expect(inB.messages.at(-1)).toMatchObject({
      region: 'a',
      path: ['hub', 'b'],
    });
    expect(
      inA.messages.map(said).filter((text) => text === 'User:1'),
    ).toHaveLength(1);
  });

  it('repeats each message once after the delay', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({
      us: { connection: us.redis.url, delay: 200 },
    });
    const writer = await us.app();
    await current(reader);
    await writer.publisher.invalidate('User', 1);
    const users = () =>
      reader.messages.filter(({ entityId }) => entityId === '1');
    await eventually(() => expect(users()).toHaveLength(2));
    const [first, again] = users();
    expect(again).toMatchObject({
      region: 'us',
      path: ['eu', 'eu'],
      messageId: first!.messageId,
    });
    await writer.publisher.invalidate('User', 2);
    await eventually(() =>
      expect(
        reader.messages.filter(({ entityId }) => entityId === '2'),
      ).toHaveLength(2),
    );
    expect(users()).toHaveLength(2);
  });

  it('holds a message until the application releases it', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const releases: (() => void)[] = [];
    const reader = await eu.app({
      us: {
        connection: us.redis.url,
        delay: 60_000,
        held: (message) =>
          message.action === 'Pattern'
            ? Promise.resolve()
            : new Promise<void>((resolve) => releases.push(resolve)),
      },
    });
    const writer = await us.app();
    await current(reader);
    await writer.publisher.invalidate('User', 1);
    await eventually(() => expect(releases).toHaveLength(1));
    expect(reader.messages.map(said)).not.toContain('User:1');
    releases[0]!();
    await eventually(() =>
      expect(reader.messages.map(said)).toContain('User:1'),
    );
    expect(reader.messages.at(-1)).toMatchObject({ path: ['eu', 'eu'] });
  });

  it('publishes a message that is held for too long, and repeats it', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({
      us: {
        connection: us.redis.url,
        delay: 150,
        held: () => new Promise(() => undefined),
      },
    });
    const writer = await us.app();
    await writer.publisher.invalidate('User', 1);
    const users = () =>
      reader.messages.filter(({ entityId }) => entityId === '1');
    await eventually(() =>
      expect(users().map(({ path }) => path)).toEqual([['eu'], ['eu', 'eu']]),
    );
  });
});
