import { InvalidationConfigurationError } from 'nestjs-cache-invalidation';
import { expect, it, onTestFinished, vi } from 'vitest';
import {
  connectRaw,
  LogRecorder,
  startApp,
  uniqueChannel,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { type RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { FOREVER, journalOf } from './setup.js';

/** A URL for a user with these rights only. */
async function urlFor(server: RedisServer, rules: string[]): Promise<string> {
  await connectRaw(server.url).acl('SETUSER', 'app', 'on', 'nopass', ...rules);
  return server.url.replace('//', '//app:any@');
}

async function connections(server: RedisServer): Promise<number> {
  const list = String(await connectRaw(server.url).client('LIST'));
  return list.split('\n').filter((line) => line.includes('user=app')).length;
}

const ALL = ['+@all', '~*', '&*'];

describeOnRedisServer('Redis ACL user', () => {
  it.each([
    ['both', 'XADD', ['-xadd']],
    ['both', 'XRANGE', ['-xrange']],
    ['both', 'XREVRANGE', ['-xrevrange']],
    ['both', 'TIME', ['-time']],
    ['both', 'PUBLISH', ['-publish']],
    ['both', 'EVAL', ['-eval']],
    ['both', 'SUBSCRIBE', ['-subscribe']],
    ['both', 'the journal', ['resetkeys', '~other:*']],
    ['both', 'PUBLISH', ['resetchannels', '&other']],
    ['subscriber', 'XRANGE', ['-xrange']],
    ['subscriber', 'XREVRANGE', ['-xrevrange']],
    ['subscriber', 'PING', ['-ping']],
    ['subscriber', 'SUBSCRIBE', ['-subscribe']],
    ['subscriber', 'SUBSCRIBE', ['resetchannels', '&other']],
    ['subscriber', 'the journal', ['resetkeys', '~other:*']],
    ['publisher', 'XADD', ['-xadd']],
    ['publisher', 'EVAL', ['-eval']],
    ['publisher', 'PUBLISH', ['-publish']],
    ['publisher', 'the journal', ['resetkeys', '%R~*']],
  ] as const)(
    'of role %s without the right to %s (%j) fails the start with an error that names it',
    async (role, right, rules) => {
      const server = await startServer();
      const connection = await urlFor(server, [...ALL, ...rules]);
      const channel = uniqueChannel();
      const error = await startApp({
        connection,
        channel,
        role,
        quiet: true,
        startupTimeout: 500,
        shutdownTimeout: FOREVER,
      }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(InvalidationConfigurationError);
      const { problems, message } = error as InvalidationConfigurationError;
      expect(problems.map(({ field }) => field)).toContain(
        right === 'the journal' ? journalOf(channel) : right,
      );
      expect(message).toContain(`The rule for role "${role}"`);
      await eventually(async () => expect(await connections(server)).toBe(0));
    },
  );

  it('with exactly the rights that the error names is sufficient', async () => {
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    const server = await startServer();
    const channel = uniqueChannel();
    const without = await urlFor(server, [...ALL, '-xadd']);
    const error = await startApp({ connection: without, channel }).catch(
      (e: unknown) => (e as Error).message,
    );
    const [, rule = ''] =
      /on Redis 7\.0: ([^"]+)\. "/.exec(error as string) ?? [];
    const connection = await urlFor(server, rule.split(' '));
    const app = await startApp({ connection, channel, heartbeatInterval: 50 });

    expect(await app.publisher.invalidateUser('1')).toMatchObject({
      status: 'delivered',
    });

    // Proved by heartbeats that began after the answer.
    const { offset } = await app.publisher.invalidateUser('2');
    await app.subscriber.caughtUp(offset!);
    await connectRaw(server.url).call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await eventually(() =>
      expect(app.states.slice(-3)).toEqual([
        'disconnected',
        'catching-up',
        'live',
      ]),
    );
    const before = app.subscriber.staleness();
    await eventually(() =>
      expect(app.subscriber.staleness()).toBeLessThan(before + 1),
    );
    expect(app.stats.snapshot().widened).toBe(0);
    // ioredis sends INFO before it considers a connection ready.
    expect(warned.mock.calls).toEqual([]);
  });
});

describeOnRedisServer('Refused connections', () => {
  it.each([
    {
      reason: /WRONGPASS/,
      logged: /WRONGPASS/,
      command: ['ACL', 'SETUSER', 'app', 'on', 'resetpass', '>other'],
    },
    {
      reason: /max number of clients|beyond maxclients/,
      logged: /max number of clients|beyond maxclients/,
      command: ['CONFIG', 'SET', 'maxclients', '1'],
    },
  ])(
    'status and log name the reason: $reason',
    async ({ reason, logged, command: [command, ...args] }) => {
      const server = await startServer({ real: true });
      const raw = connectRaw(server.url);
      await raw.call(command!, ...args);
      const log = new LogRecorder();
      const app = await startApp({
        connection: server.url.replace('//', '//app:any@'),
        // Time for several tries.
        startupTimeout: 2_000,
        shutdownTimeout: 50,
        logger: log,
      });
      await eventually(() =>
        expect(app.subscriber.status).toMatchObject({
          state: 'connecting',
          reason: expect.stringMatching(reason) as string,
        }),
      );
      expect(log.warnings.join()).toMatch(logged);
      expect(log.errors.join()).toMatch(logged);
      expect(log.lines.join()).not.toContain('app:any');
    },
  );

  it.each([
    ['info', 'live'],
    ['subscribe', 'connecting'],
  ])(
    'status names a server without the command %s if it is needed',
    async (command, state) => {
      const server = await startServer({
        args: ['--rename-command', command.toUpperCase(), ''],
        real: true,
      });
      const app = await startApp({
        connection: server.url,
        startupTimeout: 1_000,
        shutdownTimeout: 50,
      });
      const { status } = app.subscriber;
      expect(status.state).toBe(state);
      const reason =
        state === 'live' ? null : `ERR unknown command '${command}'`;
      expect(status.reason).toBe(reason);
    },
  );

  it('fails the start when the "default" user lacks a right', async () => {
    const server = await startServer({ real: true });
    await connectRaw(server.url).acl('SETUSER', 'default', '-xadd', '-acl');
    await expect(startApp({ connection: server.url })).rejects.toThrow('XADD');
  });
});
