import { Redis } from 'ioredis';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { compareOffsets } from '../../lib/message/index.js';
import {
  RedisJournal,
  RedisTransport,
  sharesJournal,
  type RedisConnection,
} from '../../lib/transport/index.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import {
  about,
  chain,
  idsOf,
  linksOf,
  offsetsOf,
  read,
  receiversOf,
} from './messages.js';
import {
  startTransport,
  type RecordingListener,
} from './transport.contract.js';

const AN_HOUR_AHEAD = String(Date.now() + 3_600_000);

interface Desk {
  readonly channel: string;
  readonly key: string;
  /** Another program on the same Redis. */
  readonly raw: Redis;
  readonly transport: RedisTransport;
  readonly listener: RecordingListener;
}

function open(channel: string, given: Given = {}): RedisTransport {
  const { connection = inject('redisUrl'), maxLength = 10_000 } = given;
  const journal = { maxLength };
  return new RedisTransport({
    connection,
    channel,
    journal,
    sharded: false,
    maxMessageBytes: 1_048_576,
  });
}

interface Given {
  connection?: RedisConnection;
  maxLength?: number;
}

async function startDesk(given?: Given): Promise<Desk> {
  const channel = uniqueChannel();
  const transport = open(channel, given);
  const listener = await startTransport(transport);
  const key = `{${channel}}:journal`;
  return { channel, key, raw: connectRaw(), transport, listener };
}

function some(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => about(from + i));
}

/** Entries of the journal, as any program reads them. */
async function entriesIn({
  raw,
  key,
}: Desk): Promise<{ offset: string; fields: string[] }[]> {
  const entries = await raw.xrange(key, '-', '+');
  return entries.map(([offset, fields]) => ({ offset, fields }));
}

function expectIncreasing(offsets: readonly string[]): void {
  const ordered = offsets.every(
    (offset, at) => at === 0 || compareOffsets(offsets[at - 1]!, offset) < 0,
  );
  expect({ ordered, offsets }).toEqual({ ordered: true, offsets });
}

describe('RedisJournal', () => {
  it('holds each message exactly as published, under its own offset', async () => {
    const desk = await startDesk();
    await Promise.all([
      desk.transport.publish(some(3)),
      desk.transport.publish(some(2)),
    ]);
    await desk.transport.ping();

    const entries = await entriesIn(desk);
    expect(entries).toHaveLength(5);
    expect(entries.map(({ fields }) => fields)).toEqual(
      desk.listener.payloads.map((payload) => ['m', payload]),
    );
    const offsets = entries.map(({ offset }) => offset);
    expect(linksOf(desk.listener.payloads)).toEqual(chain('0-0', offsets));
  });

  it('orders messages of concurrent publishers in one chain, each in its own order', async () => {
    const desk = await startDesk();
    const senders = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const transport = open(desk.channel);
        await startTransport(transport);
        return transport;
      }),
    );

    await Promise.all(
      senders.flatMap((sender, at) =>
        Array.from({ length: 40 }, (_, call) =>
          sender.publish(some(5, at * 1_000 + call * 5)),
        ),
      ),
    );
    await desk.transport.ping();

    const offsets = desk.listener.payloads.map((text) => read(text).offset!);
    expect(offsets).toHaveLength(1_000);
    expect(linksOf(desk.listener.payloads)).toEqual(chain('0-0', offsets));
    expectIncreasing(offsets);
    const ids = idsOf(desk.listener.payloads).map(Number);
    for (const at of senders.keys()) {
      const own = ids.filter((id) => Math.floor(id / 1_000) === at);
      expect(own).toEqual(
        Array.from({ length: 200 }, (_, i) => at * 1_000 + i),
      );
    }
  });

  it('is trimmed to about maxLength, and continues the chain', async () => {
    const desk = await startDesk({ maxLength: 100 });
    for (let call = 0; call < 10; call++) {
      await desk.transport.publish(some(100, call * 100));
    }
    await desk.transport.ping();

    const entries = await entriesIn(desk);
    expect(entries.length).toBeGreaterThanOrEqual(100);
    expect(entries.length).toBeLessThan(400);
    const offsets = desk.listener.payloads.map((text) => read(text).offset!);
    expect(linksOf(desk.listener.payloads)).toEqual(chain('0-0', offsets));
    expect(await desk.transport.journalTail()).toBe(offsets.at(-1));
  });

  it('continues after an entry whose clock was an hour ahead', async () => {
    const desk = await startDesk();
    const ahead = `${AN_HOUR_AHEAD}-7`;
    await desk.raw.xadd(desk.key, ahead, 'm', about('from the future'));

    await desk.transport.publish(some(600));
    await desk.transport.publish(some(600, 600));
    await desk.transport.ping();

    const offsets = desk.listener.payloads.map((text) => read(text).offset!);
    expect(linksOf(desk.listener.payloads)).toEqual(chain(ahead, offsets));
    expectIncreasing([ahead, ...offsets]);
    expect(offsets[0]).toMatch(new RegExp(`^${AN_HOUR_AHEAD}-`));
  });

  it('continues when the sequence of a millisecond is used up', async () => {
    const desk = await startDesk();
    const last = `${AN_HOUR_AHEAD}-4503599627370490`;
    await desk.raw.xadd(desk.key, last, 'm', about('full'));

    await desk.transport.publish(some(3));
    await desk.transport.ping();

    const offsets = desk.listener.payloads.map((text) => read(text).offset!);
    expect(offsets).toHaveLength(3);
    expectIncreasing([last, ...offsets]);
    expect(linksOf(desk.listener.payloads)).toEqual(chain(last, offsets));
    expect((await entriesIn(desk)).map(({ offset }) => offset)).toEqual([
      last,
      ...offsets,
    ]);
  });

  it.each([
    [
      'the last entry was deleted',
      (desk: Desk, id: string) => desk.raw.xdel(desk.key, id),
      false,
    ],
    [
      'all entries were trimmed',
      ({ raw, key }: Desk) => raw.xtrim(key, 'MAXLEN', 0),
      true,
    ],
  ] as const)('continues with new IDs after %s', async (_, remove, all) => {
    const desk = await startDesk();
    const [first] = offsetsOf(await desk.transport.publish([about('first')]));
    // The offset of a clock that is ahead: time alone must not make the next
    // ID greater.
    const last = `${AN_HOUR_AHEAD}-1048576`;
    await desk.raw.xadd(desk.key, last, 'm', about('last'));
    await remove(desk, last);

    const offsets = offsetsOf(await desk.transport.publish(some(3)));

    expectIncreasing([last, ...offsets]);
    await desk.transport.ping();
    expect(linksOf(desk.listener.payloads.slice(1))).toEqual(
      chain(all ? '0-0' : first!, offsets),
    );
  });

  it('starts again with new IDs after it was deleted', async () => {
    const desk = await startDesk();
    const before = offsetsOf(await desk.transport.publish(some(3)));
    await desk.raw.del(desk.key);
    const after = offsetsOf(await desk.transport.publish(some(3)));
    await desk.transport.ping();
    expect(linksOf(desk.listener.payloads)).toEqual([
      ...chain('0-0', before),
      ...chain('0-0', after),
    ]);
    expect(new Set([...before, ...after]).size).toBe(6);
  });

  it('is written after SCRIPT FLUSH, by calls in flight too', async () => {
    const desk = await startDesk();
    await desk.transport.publish(some(1));
    const calls = [];
    for (let i = 0; i < 20; i++) {
      if (i % 5 === 0) calls.push(desk.raw.script('FLUSH'));
      calls.push(desk.transport.publish(some(2)));
    }
    const replies = await Promise.all(calls);
    const published = replies.filter((reply) => reply !== 'OK').flat();
    expect(published).toHaveLength(40);
    expect(published.filter((reply) => reply instanceof Error)).toEqual([]);
    await desk.transport.ping();
    const offsets = desk.listener.payloads.map((text) => read(text).offset!);
    expect(linksOf(desk.listener.payloads)).toEqual(chain('0-0', offsets));
  });

  it('is in the hash slot of the channel, whatever its name', async () => {
    for (const [channel, key] of [
      ['plain', '{plain}:journal'],
      ['a{tag}b', 'a{tag}b:journal'],
    ] as const) {
      const transport = open(channel);
      await startTransport(transport);
      const raw = connectRaw();
      onTestFinished(() => void raw.del(key));
      const [offset] = offsetsOf(await transport.publish([about(1)]));
      expect((await raw.xrevrange(key, '+', '-', 'COUNT', 1))[0]![0]).toBe(
        offset,
      );
    }
  });

  it('is the same for connections with another database or key prefix', async () => {
    const desk = await startDesk();
    const { hostname: host, port } = new URL(inject('redisUrl'));
    const server = { host, port: Number(port) };
    const clients = [
      new Redis({ ...server, db: 5 }),
      new Redis({ ...server, keyPrefix: 'theirs:' }),
      new Redis({ ...server, db: 6, lazyConnect: true }),
    ];
    onTestFinished(() => clients.forEach((client) => client.disconnect()));
    const connections: RedisConnection[] = [
      `${inject('redisUrl')}/3`,
      `${inject('redisUrl')}?db=4`,
      `${inject('redisUrl')}?keyPrefix=url:`,
      { ...server, db: 2, keyPrefix: 'my:' },
      ...clients,
    ];
    for (const connection of connections) {
      const transport = open(desk.channel, { connection });
      await startTransport(transport);
      await transport.publish(some(2));
      expect(await transport.journalTail()).toBe(
        await desk.transport.journalTail(),
      );
    }
    await desk.transport.ping();

    const entries = await entriesIn(desk);
    expect(entries.map(({ fields }) => fields[1])).toEqual(
      desk.listener.payloads,
    );
    const offsets = entries.map(({ offset }) => offset);
    expect(offsets).toHaveLength(connections.length * 2);
    expect(linksOf(desk.listener.payloads)).toEqual(chain('0-0', offsets));
    // The application's own clients are unchanged.
    expect(
      clients.map(({ options }) => [options.db, options.keyPrefix]),
    ).toEqual([
      [5, ''],
      [0, 'theirs:'],
      [6, ''],
    ]);
  });
});

it('RedisJournal: two valid channels never share a journal', () => {
  const client = new Redis({ lazyConnect: true });
  const options = { maxLength: 1, sharded: false };
  const names = ['a', 'a}b', '{b', '{}', '{}a', 'a{b}'].flatMap((name) => [
    name,
    `{${name}}`,
    `{{${name}}`,
    `{${name}}}`,
    `{${name}}{${name}}`,
    `x{${name}}`,
    `{${name}}x`,
  ]);
  const channels = [...new Set(names)].filter((name) => !sharesJournal(name));
  expect(channels).toEqual(expect.arrayContaining(['a', '{a}x', 'x{a}']));
  const keys = channels.map(
    (channel) => new RedisJournal(client, { ...options, channel }).key,
  );
  expect(new Set(keys).size).toBe(channels.length);
});

describe('RedisTransport.publish() with triedSince', () => {
  it.each(['-', 'the first offset'])(
    'finds an earlier try at any distance, from %s on',
    async (from) => {
      const desk = await startDesk();
      const old = some(1_000);
      const offsets = offsetsOf(await desk.transport.publish(old));
      // Entries at the edges of the script's pages, and inside them.
      const wanted = [0, 1, 248, 249, 250, 251, 498, 499, 500, 747, 999];
      const tried = wanted.map((at) => old[at]!);

      const replies = await desk.transport.publish(
        [...tried, about('new')],
        from === '-' ? from : offsets[0],
      );

      expect(replies.slice(0, -1)).toEqual(
        wanted.map((at) => ({ receivers: null, offset: offsets[at] })),
      );
      await desk.transport.ping();
      expect(desk.listener.payloads).toHaveLength(1_001);
      expect(await desk.raw.xlen(desk.key)).toBe(1_001);
    },
  );

  it('finds an earlier try at the start offset itself', async () => {
    const desk = await startDesk();
    const old = some(2);
    const [, last] = offsetsOf(await desk.transport.publish(old));
    const replies = await desk.transport.publish([old[1]!], last);
    expect(replies).toEqual([{ receivers: null, offset: last }]);
  });

  it('searches the whole journal when that ends before the start offset', async () => {
    const desk = await startDesk();
    await desk.transport.publish(some(3));
    await desk.raw.del(desk.key);
    const old = some(3);
    const offsets = offsetsOf(await desk.transport.publish(old));
    const [ms, seq] = offsets[2]!.split('-');

    for (const since of [`${AN_HOUR_AHEAD}-0`, `${ms}-${Number(seq) + 1}`]) {
      expect(await desk.transport.publish(old, since)).toEqual(
        offsets.map((offset) => ({ receivers: null, offset })),
      );
    }
    await desk.transport.ping();
    expect(desk.listener.payloads).toHaveLength(6);
  });

  it('publishes when the journal is deleted, empty or trimmed', async () => {
    const desk = await startDesk();
    const old = some(3);
    const [first, , last] = offsetsOf(await desk.transport.publish(old));
    for (const since of ['-', first!, last!]) {
      await desk.raw.del(desk.key);
      expect(receiversOf(await desk.transport.publish(old, since))).toEqual([
        1, 1, 1,
      ]);
      await desk.raw.xtrim(desk.key, 'MAXLEN', 0);
      expect(receiversOf(await desk.transport.publish(old, since))).toEqual([
        1, 1, 1,
      ]);
    }
  });
});
