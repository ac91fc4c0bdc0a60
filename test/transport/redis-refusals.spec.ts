import { rm } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { JournalAheadError } from '../../lib/errors/index.js';
import {
  RedisTransport,
  type RedisConnection,
} from '../../lib/transport/index.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { about, idsOf, offsetsOf, receiversOf } from './messages.js';
import {
  startTransport,
  type RecordingListener,
} from './transport.contract.js';

/** Creates the user `app`, with all rights except those that the rules take away. */
function appUser(...rules: string[]): ['SETUSER', string, ...string[]] {
  return ['SETUSER', 'app', 'on', '>pw', '+@all', '~*', '&*', ...rules];
}

function open(
  connection: RedisConnection,
  { channel = uniqueChannel(), journaled = true } = {},
): RedisTransport {
  const journal = journaled && { maxLength: 1_000 };
  return new RedisTransport({
    connection,
    channel,
    journal,
    sharded: false,
    maxMessageBytes: 1_048_576,
  });
}

/** Redis' error, outside and inside of a script. */
const DENIED = /NOPERM|The user executing the script can't/;

/**
 * Expects that each of several payloads is refused with this error, and nothing
 * is thrown.
 */
async function expectRefused(
  transport: RedisTransport,
  why: string | RegExp,
): Promise<void> {
  for (const since of [null, '-']) {
    const replies = await transport.publish([about(1), about(2)], since);
    expect(replies).toHaveLength(2);
    for (const reply of replies) {
      expect(reply).toBeInstanceOf(Error);
      expect((reply as Error).message).toMatch(why);
      // ioredis adds the payload to the error; it does not belong into a log.
      expect(reply).not.toHaveProperty('command');
    }
  }
}

/** Expects that payloads that were refused before are taken and received now. */
async function expectTaken(
  transport: RedisTransport,
  listener: RecordingListener,
): Promise<void> {
  const id = `taken ${listener.payloads.length}`;
  await eventually(async () =>
    expect(receiversOf(await transport.publish([about(id)], '-'))).toEqual([1]),
  );
  // Redis counts a receiver before its acknowledgement has arrived here.
  await eventually(() => transport.ping());
  expect(idsOf(listener.payloads).filter((heard) => heard === id)).toEqual([
    id,
  ]);
}

describeOnRedisServer('RedisTransport.publish() when Redis refuses', () => {
  it.each([
    ['OOM', 'out of memory', 'maxmemory', '1', '0'],
    ['NOREPLICAS', 'replicas are missing', 'min-replicas-to-write', '1', '0'],
  ])(
    '%s when %s: publishes messages that were not tried before without the journal',
    async (why, _, option, bad, good) => {
      const server = await startServer({ real: true });
      const raw = connectRaw(server.url);
      const transport = open(server.url);
      const listener = await startTransport(transport);

      await raw.config('SET', option, bad);
      await expectRefused(transport, why);
      const mixed = [about('tried'), about('new')];
      await transport.publish(mixed, '-', 1);
      await raw.config('SET', option, good);

      await expectTaken(transport, listener);
      const heard = idsOf(listener.payloads);
      expect(heard).toEqual(['1', '2', 'new', 'taken 3']);
    },
  );

  it('reports the offset up to which the journal was searched', async () => {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    const transport = open(server.url);
    await startTransport(transport);
    const taken = about('taken');
    const [, last] = offsetsOf(await transport.publish([about('a'), taken]));
    await raw.config('SET', 'maxmemory', '1');

    for (const since of [null, '-']) {
      const [reply] = await transport.publish([about('refused')], since);
      expect(reply).toMatchObject({ searchedUpTo: last });
      expect((reply as Error).message).not.toContain('searched');
    }
    // One of the payloads is in the journal, which the answer does not contain.
    const [found] = await transport.publish([taken, about('new')], '-');
    expect(found).toMatchObject({ searchedUpTo: null });
  });

  it.each([
    ['in the year 9999', '253402300799999-5', false],
    ['with the greatest ID', `${2n ** 64n - 1n}-${2n ** 64n - 1n}`, false],
    ['that was deleted again', '253402300799999-5', true],
    [
      'with the greatest ID, deleted again',
      `${2n ** 64n - 1n}-${2n ** 64n - 1n}`,
      true,
    ],
  ])(
    'JournalAheadError behind an entry %s, until the journal is deleted',
    async (_, id, isDeleted) => {
      const server = await startServer({ real: true });
      const raw = connectRaw(server.url);
      const channel = uniqueChannel();
      const transport = open(server.url, { channel });
      const listener = await startTransport(transport);
      const journal = `{${channel}}:journal`;
      await transport.publish([about('before')]);
      await raw.xadd(journal, id, 'm', 'forged');
      if (isDeleted) await raw.xdel(journal, id);

      const [reply] = await transport.publish([about('live')]);
      expect(reply).toBeInstanceOf(JournalAheadError);
      expect(reply).toMatchObject({ journal });
      await transport.publish([about('again')], '-');
      await raw.del(journal);
      const [offset] = offsetsOf(await transport.publish([about('after')]));
      expect(offset).toMatch(/^\d{13}-\d+$/);
      await transport.ping();
      // Readers that are subscribed need not wait for messages that the journal
      // cannot take.
      expect(idsOf(listener.payloads)).toEqual(['before', 'live', 'after']);
    },
  );

  it('WRONGTYPE when the key of the journal is a string', async () => {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    const channel = uniqueChannel();
    const transport = open(server.url, { channel });
    const listener = await startTransport(transport);

    await raw.set(`{${channel}}:journal`, 'mine');
    await expectRefused(transport, 'WRONGTYPE');
    await raw.del(`{${channel}}:journal`);

    await expectTaken(transport, listener);
    expect(idsOf(listener.payloads)).toEqual(['1', '2', 'taken 2']);
  });

  it('READONLY when the server has become a replica: reconnects', async () => {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    const transport = open(server.url);
    const listener = await startTransport(transport);
    const times = (event: string): number =>
      listener.events.filter((each) => each === event).length;

    await raw.call('REPLICAOF', '127.0.0.1', '1');
    const [reply] = await transport.publish([about(1)]);
    expect(reply).toMatchObject({
      message: expect.stringContaining('READONLY'),
    });
    // There may be another server at the address by now.
    await eventually(() => expect(times('writable')).toBe(2));
    await raw.call('REPLICAOF', 'NO', 'ONE');

    await expectTaken(transport, listener);
  });

  it('MISCONF when snapshots fail', async () => {
    const server = await startServer({
      args: ['--save', '3600 1000000'],
      real: true,
    });
    const raw = connectRaw(server.url);
    const transport = open(server.url);
    const listener = await startTransport(transport);

    const [, folder] = await raw.config('GET', 'dir');
    await rm(folder!, { recursive: true });
    await raw.bgsave();
    await eventually(async () =>
      expect(await raw.info('persistence')).toContain(
        'rdb_last_bgsave_status:err',
      ),
    );
    await expectRefused(transport, 'MISCONF');
    await raw.config('SET', 'stop-writes-on-bgsave-error', 'no');

    await expectTaken(transport, listener);
    expect(idsOf(listener.payloads)).toEqual(['1', '2', 'taken 2']);
  });

  it.each(['xadd', 'xrevrange', 'publish', 'evalsha', 'time'])(
    'NOPERM without the right to %s',
    async (command) => {
      const server = await startServer({ real: true });
      const raw = connectRaw(server.url);
      await raw.acl(...appUser(`-${command}`));
      const transport = open(`redis://app:pw@127.0.0.1:${server.port}`);
      const listener = await startTransport(transport);

      // The first publish loads the script.
      if (command === 'evalsha') await transport.publish([about('first')]);
      await expectRefused(transport, DENIED);
      await raw.acl('SETUSER', 'app', `+${command}`);

      await expectTaken(transport, listener);
      expect(transport.writable).toBe(true);
    },
  );

  it.each([
    ['journal', ['resetkeys', '~other']],
    ['channel', ['resetchannels']],
  ])('NOPERM without the right to the %s', async (_, rule) => {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    await raw.acl(...appUser());
    const transport = open(`redis://app:pw@127.0.0.1:${server.port}`);
    const listener = await startTransport(transport);

    await raw.acl('SETUSER', 'app', ...rule);
    await expectRefused(transport, DENIED);
    await raw.acl('SETUSER', 'app', '~*', '&*');

    await expectTaken(transport, listener);
    expect(transport.writable).toBe(true);
  });

  it('WRONGTYPE for publishes and reads when the key of the journal is a string', async () => {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    const channel = uniqueChannel();
    const transport = open(server.url, { channel });
    const listener = await startTransport(transport);

    await raw.set(`{${channel}}:journal`, 'a string');
    await expectRefused(transport, 'WRONGTYPE');
    await expect(transport.readJournal('-', 1)).rejects.toThrow('WRONGTYPE');
    await expect(transport.journalTail()).rejects.toThrow('WRONGTYPE');
    await raw.del(`{${channel}}:journal`);

    await expectTaken(transport, listener);
  });

  it.each([true, false])(
    'LOADING while a restarted server loads its data (ready check: %s)',
    async (enableReadyCheck) => {
      const server = await startServer({
        args: [
          '--save',
          '3600 1000000',
          '--rdbcompression',
          'no',
          '--key-load-delay',
          '40000',
          '--loading-process-events-interval-bytes',
          '1024',
        ],
        real: true,
      });
      const raw = connectRaw(server.url);
      for (let key = 0; key < 50; key++)
        await raw.set(`${key}`, 'x'.repeat(2_000));
      await raw.save();
      const client = new Redis(server.url, {
        enableReadyCheck,
        retryStrategy: () => 20,
      });
      client.on('error', () => undefined);
      onTestFinished(() => client.disconnect());
      const transport = open(client);
      const listener = await startTransport(transport);

      await server.restart();

      const refusals: string[] = [];
      await eventually(
        async () => {
          const replies = await transport.publish([about('during')], '-');
          expect(replies).toHaveLength(1);
          const [reply] = replies;
          if (reply instanceof Error) refusals.push(reply.message);
          expect(reply).not.toBeInstanceOf(Error);
        },
        { timeout: 20_000 },
      );
      const loading = enableReadyCheck ? /.*/ : /LOADING/;
      expect(refusals.join()).toMatch(loading);
      await eventually(() => expect(listener.events.at(-1)).not.toBe('lost'));
      await eventually(() => expectTaken(transport, listener));
    },
  );

  it('WRONGPASS after the password was changed, until it is changed back', async () => {
    const server = await startServer({
      args: ['--requirepass', 'one'],
      real: true,
    });
    const raw = connectRaw(`redis://:one@127.0.0.1:${server.port}`);
    const transport = open(`redis://:one@127.0.0.1:${server.port}`);
    const listener = await startTransport(transport);

    await raw.config('SET', 'requirepass', 'two');
    transport.reconnect('commands');
    await eventually(() =>
      expect(listener.errors.join()).toMatch(/WRONGPASS|NOAUTH/),
    );
    for (const error of listener.errors) {
      expect(error).not.toHaveProperty('command');
    }
    const [reply] = await transport.publish([about(1)]);
    expect(reply).toBeInstanceOf(Error);
    await raw.config('SET', 'requirepass', 'one');

    await expectTaken(transport, listener);
  });
});

describeOnRedisServer('RedisTransport.missingRights()', () => {
  async function missing(...rules: string[]): Promise<string[]> {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    await raw.acl('SETUSER', 'app', 'on', '>pw', ...rules);
    const transport = open(`redis://app:pw@127.0.0.1:${server.port}`, {
      channel: 'news',
    });
    onTestFinished(() => transport.close());
    const events: string[] = [];
    transport.start({
      onMessage: () => undefined,
      onUnverified: () => undefined,
      onSubscribed: () => undefined,
      onLost: () => undefined,
      onWritable: () => events.push('writable'),
      onError: () => undefined,
    });
    await eventually(() => expect(events).toEqual(['writable']));
    return transport.missingRights();
  }

  const NEEDED =
    'eval evalsha xadd xrange xrevrange xinfo time publish subscribe ping'.split(
      ' ',
    );
  /** Rights that the start-up error asks for, and those that ioredis needs itself. */
  const GRANTED = [
    ...NEEDED.map((command) => `+${command}`),
    '+info',
    '+hello',
    '+client',
    '+auth',
    '+select',
    '~{news}:journal',
    '&news',
  ];

  it('returns none with exactly the documented rights', async () => {
    expect(await missing(...GRANTED)).toEqual([]);
  });

  it.each(NEEDED)('returns a missing command: %s', async (command) => {
    expect(await missing(...GRANTED, `-${command}`)).toEqual([
      command.toUpperCase(),
    ]);
  });

  it('returns several missing commands', async () => {
    expect(await missing(...GRANTED, '-xadd', '-time', '-subscribe')).toEqual([
      'XADD',
      'TIME',
      'SUBSCRIBE',
    ]);
  });

  it('returns the journal', async () => {
    expect(await missing(...GRANTED, 'resetkeys', '~other')).toEqual([
      '{news}:journal',
    ]);
    expect(await missing(...GRANTED, 'resetkeys', '%R~{news}:journal')).toEqual(
      ['{news}:journal'],
    );
  });

  it('returns the commands of the channel', async () => {
    expect(await missing(...GRANTED, 'resetchannels', '&other')).toEqual([
      'PUBLISH',
      'SUBSCRIBE',
    ]);
  });

  it.each([
    ['XADD', ['-xadd']],
    ['{news}:journal', ['resetkeys', '~other']],
    ['PUBLISH', ['resetchannels', '&other', '+subscribe']],
  ])(
    'returns a right that the "default" user lacks: %s',
    async (right, rules) => {
      const server = await startServer({ real: true });
      const raw = connectRaw(server.url);
      await raw.acl('SETUSER', 'admin', 'on', '>pw', '+@all', '~*', '&*');
      const transport = open(server.url, { channel: 'news' });
      await startTransport(transport);
      expect(await transport.missingRights()).toEqual([]);
      const admin = connectRaw(`redis://admin:pw@127.0.0.1:${server.port}`);
      await admin.acl('SETUSER', 'default', ...rules);
      expect(await transport.missingRights()).toContain(right);
      await admin.acl('SETUSER', 'default', '-acl');
      expect(await transport.missingRights()).toContain(right);
    },
  );

  it('returns none without a journal, though a publish is refused', async () => {
    const server = await startServer({ real: true });
    const raw = connectRaw(server.url);
    await raw.acl(...appUser('-publish'));
    const transport = open(`redis://app:pw@127.0.0.1:${server.port}`, {
      journaled: false,
    });
    await startTransport(transport);
    expect(await transport.missingRights()).toEqual([]);
    await expectRefused(transport, 'NOPERM');
  });
});
