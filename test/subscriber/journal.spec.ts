import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { connectRaw, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import {
  becomes,
  Hand,
  hears,
  NO_HEARTBEAT,
  numbers,
  patient,
  startLinks,
  startOnLinks,
  summary,
  timesLive,
  users,
  wire,
} from './setup.js';

/** Starts an application that has received one message, and a hand on its channel. */
async function startListening() {
  const server = await startServer();
  const app = await startApp({ connection: server.url, ...NO_HEARTBEAT });
  const hand = new Hand(server, app.channel);
  await hand.say('before');
  await hears(app, ['User:before']);
  return { server, app, hand };
}

function readings() {
  const spy = vi.spyOn(RedisTransport.prototype, 'readJournal');
  onTestFinished(() => spy.mockRestore());
  return spy;
}

/** Trims the journal down to one entry, which claims to follow the third last. */
const FORGE_NEXT = `
local entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 4)
local ms = string.match(entries[1][1], '^(%d+)-')
local id = string.format('%.0f-1', ms + 1)
local payload = string.sub(ARGV[1], 1, -2)
  .. ',"offset":"' .. id .. '","previous":"' .. entries[4][1] .. '"}'
redis.call('XADD', KEYS[1], 'MAXLEN', '=', 1, id, 'm', payload)
return id
`;

describe('Catch-up after a lost subscription', () => {
  it('replays missed messages once and in order, however often the connection is killed', async () => {
    const { server, app: reader, hand } = await startListening();
    const writer = await startApp({
      connection: server.url,
      channel: reader.channel,
      ...NO_HEARTBEAT,
    });
    const ids = numbers(2_000);

    for (let round = 0; round < 20; round++) {
      if (round % 2 === 0) await becomes(reader, 'live');
      await hand.killSubscriptions();
      await Promise.all(
        ids
          .slice(round * 100, round * 100 + 100)
          .map((id) => writer.publisher.invalidateUser(id)),
      );
    }

    await hears(reader, users('before', ...ids));
    expect(summary(writer)).toEqual(users(...ids));
    const { replayed, widened } = reader.stats.snapshot();
    expect(replayed).toBeGreaterThan(0);
    expect(widened).toBe(0);
  });

  it('reads the journal in pages, and delivers newer messages after it', async () => {
    const { server, app: reader, hand } = await startListening();
    const writer = await startApp({
      connection: server.url,
      channel: reader.channel,
      ...NO_HEARTBEAT,
    });
    const read = readings();
    const missed = numbers(5_000);
    const live = missed.slice(0, 500).map((id) => `live ${id}`);

    await hand.whileAllAreAway((multi) => multi.eval(...hand.saying(missed)));
    // Messages journaled while the reader is away, while it reads, and afterwards.
    for (const id of live) await writer.publisher.invalidateUser(id);

    await hears(reader, users('before', ...missed, ...live));
    expect(read.mock.calls.length).toBeGreaterThan(5);
    for (const [, count] of read.mock.calls) {
      expect(count).toBeLessThanOrEqual(1_000);
    }
    const { replayed, widened } = reader.stats.snapshot();
    expect(replayed).toBeGreaterThanOrEqual(5_000);
    expect(widened).toBe(0);
  });

  it('reads smaller pages when messages are large', async () => {
    const { app, hand } = await startListening();
    const read = readings();
    const large = { metadata: 'x'.repeat(100_000) };
    const ids = numbers(60);

    await hand.whileAllAreAway((multi) =>
      multi.eval(...hand.saying(ids, hand.channel, large)),
    );

    await hears(app, users('before', ...ids));
    const sizes = await Promise.all(
      read.mock.results.map(async ({ value }) =>
        (await (value as ReturnType<RedisTransport['readJournal']>)).reduce(
          (size, { payload }) => size + payload.length,
          0,
        ),
      ),
    );
    // The size of the messages is unknown for the first page.
    expect(Math.max(...sizes.slice(1))).toBeLessThan(2_000_000);
    expect(app.stats.snapshot()).toMatchObject({ widened: 0, replayed: 60 });
  });

  it('replays missed messages when the commands connection is killed as well', async () => {
    const { app, hand } = await startListening();
    const read = vi.spyOn(RedisTransport.prototype, 'readJournal');
    onTestFinished(() => read.mockRestore());
    // ioredis never answers a query on a connection that broke.
    read.mockImplementationOnce(async () => {
      await hand.redis.call(
        'CLIENT',
        'KILL',
        'TYPE',
        'normal',
        'SKIPME',
        'yes',
      );
      return new Promise(() => undefined);
    });

    await hand.whileAllAreAway((multi) => multi.eval(...hand.saying([1, 2])));

    // A time far below heartbeatTimeout, after which the message would be widened.
    await hears(app, users('before', 1, 2));
    expect(app.stats.snapshot().widened).toBe(0);
  });

  it.each<
    [string, (hand: Hand, multi: ReturnType<Hand['redis']['multi']>) => void]
  >([
    ['trimmed away', ({ journal }, multi) => multi.xtrim(journal, 'MAXLEN', 1)],
    [
      // The first remaining entry names the position, as a forged one could too.
      'trimmed away up to the position',
      ({ journal }, multi) => multi.xtrim(journal, 'MAXLEN', 3),
    ],
    [
      'replaced by a forged entry that names the position',
      (hand, multi) => multi.eval(FORGE_NEXT, 1, hand.journal, wire('forged')),
    ],
    ['deleted with the journal', ({ journal }, multi) => multi.del(journal)],
    [
      'deleted with the journal, which was started again',
      (hand, multi) => multi.del(hand.journal).eval(...hand.saying(['new'])),
    ],
    [
      'followed by a foreign entry',
      ({ journal }, multi) => multi.xadd(journal, '*', 'x', 'y'),
    ],
    [
      'followed by an entry whose payload has another offset',
      ({ journal }, multi) =>
        multi.xadd(
          journal,
          '*',
          'm',
          wire('x', { offset: '1-1', previous: '0-1' }),
        ),
    ],
    [
      'overwritten by a key that is not a stream',
      ({ journal }, multi) => multi.set(journal, 'x'),
    ],
  ])(
    'delivers one widened message when the missed messages were %s',
    async (_, fault) => {
      const { app, hand } = await startListening();

      await hand.whileAllAreAway((multi) => {
        multi.eval(...hand.saying([1, 2, 3]));
        fault(hand, multi);
      });
      await eventually(() => expect(timesLive(app)).toBe(2));

      const heard = summary(app);
      expect(heard.filter((one) => one === 'missed')).toHaveLength(1);
      // Or after the messages that could still be read.
      expect(heard.at(-1)).toBe('missed');
      await hand.redis.publish(app.channel, wire('foreign'));
      await hears(app, [...heard, 'User:foreign']);
    },
  );

  itOnRedisServer(
    'does not widen when a server restarts with its data',
    async () => {
      const server = await startServer({
        args: ['--appendonly', 'yes', '--appendfsync', 'always'],
      });
      const connection = server.url;
      const writer = await startApp({ connection, ...NO_HEARTBEAT });
      const reader = await startApp({
        connection,
        channel: writer.channel,
        ...NO_HEARTBEAT,
      });
      await writer.publisher.invalidateUser('before');
      await hears(reader, ['User:before']);

      server.kill();
      await becomes(writer, 'disconnected');
      await writer.publisher.invalidateUser(1);
      await server.restart();
      await hears(reader, users('before', 1));
      await becomes(writer, 'live');
      await writer.publisher.invalidateUser(2);

      await hears(reader, users('before', 1, 2));
      expect(summary(writer)).toEqual(users('before', 1, 2));
    },
  );
});

describe('Catch-up: a message lost on a live connection', () => {
  it('replays it when the next message arrives', async () => {
    const { app, hand } = await startListening();

    await hand.mumble('lost', 'lost too');
    await hand.say('next');

    await hears(app, users('before', 'lost', 'lost too', 'next'));
    expect(app.stats.snapshot()).toMatchObject({ widened: 0, replayed: 3 });
    expect(app.states.slice(-2)).toEqual(['catching-up', 'live']);
  });

  it('replays it when the next message is an own one', async () => {
    const { app, hand } = await startListening();

    await hand.mumble('lost');
    await app.publisher.invalidateUser('own');

    await eventually(() =>
      expect(summary(app).toSorted()).toEqual(users('before', 'lost', 'own')),
    );
    expect(app.stats.snapshot()).toMatchObject({ widened: 0, replayed: 1 });
  });

  it('delivers one widened message when the journal has lost it, too', async () => {
    const { app, hand } = await startListening();

    await hand.mumble('lost');
    await hand.redis.del(hand.journal);
    await hand.say('next');

    await hears(app, ['User:before', 'missed']);
    await hand.say('on');
    await hears(app, ['User:before', 'missed', 'User:on']);
    expect(app.stats.snapshot().widened).toBe(1);
  });

  it('replays a message lost during the read without another message', async () => {
    const { app, hand } = await startListening();
    await app.publisher.invalidateUser('own');
    await hand.redis.del(hand.journal);
    const read = vi.spyOn(RedisTransport.prototype, 'readJournal');
    onTestFinished(() => read.mockRestore());
    // The chain is broken, and then the instance looks for its own messages.
    read
      .mockImplementationOnce(async () => [])
      .mockImplementationOnce(async () => {
        const { received } = app.stats.snapshot();
        await hand.mumble('lost');
        await hand.say('next');
        await eventually(() =>
          expect(app.stats.snapshot().received).toBe(received + 1),
        );
        return [];
      });

    await hand.killSubscriptions();

    // The loss of its own message with the journal makes it publish
    // "everything" ("*").
    await eventually(() =>
      expect(summary(app).filter((each) => each !== '*')).toEqual([
        ...users('before', 'own'),
        'missed',
        ...users('lost', 'next'),
      ]),
    );
  });
});

describe('Catch-up: the position at startup', () => {
  it('does not skip messages published while the end of the journal is read', async () => {
    const server = await startServer();
    const links = await startLinks(server);
    const channel = uniqueChannel();
    const hand = new Hand(server, channel);
    const { journalTail } = RedisTransport.prototype;
    const tail = vi.spyOn(RedisTransport.prototype, 'journalTail');
    onTestFinished(() => tail.mockRestore());
    // Subscribed by now; new messages arrive after the journal has been read.
    tail.mockImplementationOnce(async function (this: RedisTransport) {
      links.subscription.delay(200);
      await hand.say(1, 2);
      return journalTail.call(this);
    });

    const app = await startApp({
      connection: links.connection,
      channel,
      ...NO_HEARTBEAT,
    });

    await hears(app, users(1, 2));
    links.subscription.delay(0);
    await hand.say(3);
    await hears(app, users(1, 2, 3));
    expect(app.stats.snapshot().widened).toBe(0);
  });

  it("does not deliver again messages newer than the journal's end as it was read", async () => {
    const server = await startServer();
    const channel = uniqueChannel();
    const hand = new Hand(server, channel);
    const received: string[] = [];
    const raw = connectRaw(server.url);
    raw.on('message', (_channel, payload: string) => received.push(payload));
    const { journalTail } = RedisTransport.prototype;
    const tail = vi.spyOn(RedisTransport.prototype, 'journalTail');
    onTestFinished(() => tail.mockRestore());
    tail.mockImplementationOnce(async function (this: RedisTransport) {
      const end = await journalTail.call(this);
      await raw.subscribe(channel);
      await hand.say(1, 2);
      await eventually(() => expect(received).toHaveLength(2));
      return end;
    });

    const app = await startApp({
      connection: server.url,
      channel,
      ...NO_HEARTBEAT,
    });
    await hand.say(3);

    await hears(app, users(1, 2, 3));
    expect(app.stats.snapshot().replayed).toBe(0);
  });
});

describe('Catch-up: duplicate messages', () => {
  it('delivers the last message once when it is repeated', async () => {
    const { app, hand } = await startListening();
    const [[, [, payload = '']] = ['', []]] = await hand.redis.xrange(
      hand.journal,
      '-',
      '+',
    );

    await hand.redis.publish(app.channel, payload);
    await hand.say('next');

    await hears(app, users('before', 'next'));
    expect(app.states).not.toContain('catching-up');
  });

  it('delivers a replayed message once when it is repeated', async () => {
    const { app, hand } = await startListening();
    await hand.whileAllAreAway((multi) => multi.eval(...hand.saying([1, 2])));
    await hears(app, users('before', 1, 2));

    const entries = await hand.redis.xrange(hand.journal, '-', '+');
    for (const [, [, payload = '']] of entries.slice(1)) {
      await hand.redis.publish(app.channel, payload);
    }
    await hand.say('next');

    await hears(app, users('before', 1, 2, 'next'));
    expect(app.stats.snapshot().widened).toBe(0);
  });

  it('loses and widens nothing when older messages are repeated', async () => {
    const { app, hand } = await startListening();
    await hand.say(1, 2, 3);
    const entries = await hand.redis.xrange(hand.journal, '-', '+');

    for (const [, [, payload = '']] of entries) {
      await hand.redis.publish(app.channel, payload);
    }
    await hand.say('next');

    await eventually(() => expect(summary(app)).toContain('User:next'));
    expect(new Set(summary(app))).toEqual(
      new Set(users('before', 1, 2, 3, 'next')),
    );
    expect(app.stats.snapshot().widened).toBe(0);
  });
});

describe('Catch-up: the limit of held messages', () => {
  it('delivers one widened message beyond the limit, then live messages', async () => {
    const { app, hand, links } = await startOnLinks({
      ...NO_HEARTBEAT,
      heartbeatTimeout: 60_000,
    });
    await hand.say('before');
    await hears(app, ['User:before']);

    links.commands.swallow('down');
    await hand.mumble('lost');
    for (let page = 0; page < 10; page++) await hand.say(...numbers(1_000));
    await hand.say('one too many');

    await hears(app, ['User:before', 'missed']);
    await hand.say('on', 'and on');
    await hears(app, ['User:before', 'missed', ...users('on', 'and on')]);
    expect(app.stats.snapshot().widened).toBe(1);
  }, 40_000);

  it('delivers all held messages below the limit', async () => {
    const { app, hand, links } = await startOnLinks(NO_HEARTBEAT);
    await hand.say('before');
    await hears(app, ['User:before']);
    const ids = numbers(900);

    links.commands.delay(100);
    await hand.mumble('lost');
    await hand.say(...ids);
    links.commands.delay(0);

    await eventually(
      () => expect(summary(app)).toEqual(users('before', 'lost', ...ids)),
      patient,
    );
  });
});
