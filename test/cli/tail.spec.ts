import { randomUUID } from 'node:crypto';
import { pattern } from 'nestjs-cache-invalidation';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { connectRaw, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import {
  describeOnRedisServer,
  itOnRedisServer,
  startServer,
} from '../support/redis-server.js';
import { Hand, wire } from '../subscriber/setup.js';
import {
  json,
  OBEYED,
  patient,
  run,
  start,
  withProgram,
  type Run,
} from './program.js';

withProgram();

const onChannel = (channel: string, ...more: string[]): string[] => [
  'tail',
  '--channel',
  channel,
  ...more,
];

/** Subject of each line: entity id, keys or pattern. */
const subjects = (tail: Pick<Run, 'lines'>): unknown[] =>
  tail.lines().map((line) => {
    const { entity_id, entity_ids, pattern: glob } = json(line);
    return entity_id ?? glob ?? (entity_ids as string[] | null)?.join();
  });

const prints = (tail: Run, expected: unknown[]): Promise<void> =>
  eventually(() => expect(subjects(tail)).toEqual(expected), patient);

describe('tail', () => {
  it('prints one line for each message', async () => {
    const app = await startApp({ serviceName: 'user-service' });
    const tail = start(onChannel(app.channel, '--count', '4'));
    await tail.listens();

    await app.publisher.invalidateUser('7');
    await app.publisher.update('User', '8');
    const keys = ['user:1', 'a:2', 'a:3', 'a:4', 'a:5', 'a:6', 'a:7'];
    await app.publisher.invalidateBatch(keys);
    await app.publisher.invalidatePattern('feed:42:*');

    expect(await tail.ended).toBe(0);
    const [first, second, third, fourth] = tail.lines();
    expect(first).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3}  user-service +Delete +user:7 +-?[\d.]+ ms +\d+ B$/,
    );
    expect(second).toMatch(/user-service +Update +user:8 /);
    expect(third).toMatch(/Batch +user:1 a:2 a:3 a:4 a:5 and 2 more /);
    expect(fourth).toMatch(/Pattern +feed:42:\* /);
    expect(tail.err()).toContain(`listening on ${app.channel}`);
  });

  it('--json prints the message unchanged, with its time of arrival', async () => {
    const channel = uniqueChannel();
    const tail = start(onChannel(channel, '--json', '--count', '1'));
    await tail.listens();
    const payload = wire('7', { extra: { of: 'others' } });
    await connectRaw().publish(channel, payload);

    expect(await tail.ended).toBe(0);
    const { receivedAt, latencyMs, bytes, replayed, ...message } = json(
      tail.lines()[0]!,
    );
    expect(message).toEqual(JSON.parse(payload));
    expect(String(receivedAt)).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect({ latencyMs, bytes, replayed }).toEqual({
      latencyMs: expect.any(Number) as number,
      bytes: Buffer.byteLength(payload),
      replayed: false,
    });
  });

  it.each([
    ['--type User', ['1', '2', 'user:3,post:4', 'user:*', '*']],
    ['--type Post', ['user:3,post:4', '5', '*']],
    [
      '--type User --type Post',
      ['1', '2', 'user:3,post:4', '5', 'user:*', '*'],
    ],
    ['--service one', ['1', 'user:3,post:4', 'user:*']],
    ['--service two --action delete', ['5', 'x']],
    ['--action Pattern --action Batch', ['user:3,post:4', 'user:*', '*']],
    ['--cache-key user:3', ['user:3,post:4', 'user:*', '*']],
    ['--cache-key post:*', ['user:3,post:4', '5', '*']],
    ['--cache-key user:[12]', ['1', '2', 'user:*', '*']],
    ['--cache-key session:x', ['x', '*']],
  ])('%s shows only matching messages', async (filter, expected) => {
    const channel = uniqueChannel();
    const one = await startApp({ channel, serviceName: 'one' });
    const two = await startApp({ channel, serviceName: 'two' });
    await one.publisher.invalidateUser('1');
    await two.publisher.update('User', '2');
    await one.publisher.invalidateBatch(['user:3', 'post:4']);
    await two.publisher.invalidatePost('5');
    await one.publisher.invalidatePattern('user:*');
    await two.publisher.invalidateCustom('session', 'x');
    await two.publisher.invalidateAll();
    await connectRaw().publish(channel, 'no message');

    const tail = start(
      onChannel(channel, '--json', '--last', '100', ...filter.split(' ')),
    );
    await prints(tail, expected);
    // Two further messages; the second may pass the filter, and is ignored below.
    await connectRaw().publish(channel, 'no message');
    await one.publisher.publish(pattern('nobody:hears:this'));
    tail.child.kill('SIGINT');
    expect(await tail.ended).toBe(0);
    expect(
      subjects(tail).filter((subject) => subject !== 'nobody:hears:this'),
    ).toEqual(expected);
  });

  it.each([[[]], [['--json']]])(
    'escapes control characters in messages (%j)',
    async (more) => {
      const channel = uniqueChannel();
      const tail = start(onChannel(channel, '--count', '4', ...more));
      await tail.listens();
      const evil = '\x1b[2J\x1b]0;title\x07\x9b31m\u202e\r\nuser:0\x7f';
      const redis = connectRaw();
      await redis.publish(channel, wire(evil, { source_service: evil }));
      await redis.publish(
        channel,
        wire('', { action: 'Pattern', pattern: evil, entity_id: null }),
      );
      await redis.publish(channel, evil);
      await redis.publish(channel, `${evil}${'x'.repeat(100_000)}`);

      expect(await tail.ended).toBe(0);
      expect(tail.lines()).toHaveLength(4);
      expect(tail.out()).not.toMatch(OBEYED);
      expect(tail.out().length).toBeLessThan(4_000);
      for (const line of tail.lines()) expect(line).toContain('\\u001b[2J');
      expect(tail.lines()[2]).toContain('malformed');
      if (more.length > 0) tail.lines().forEach((line) => json(line));
    },
  );

  it('prints colours only when requested', async () => {
    const { channel, publisher } = await startApp();
    await publisher.invalidateUser('7');
    const args = onChannel(channel, '--last', '1', '--count', '1');
    const env = { FORCE_COLOR: '1' };
    expect((await run(args)).out).not.toContain('\x1b');
    expect((await run(args, { env })).out).toContain('\x1b[31mDelete \x1b[39m');
  });

  it('--last and --since print messages of the journal first, then live ones', async () => {
    const app = await startApp();
    for (const id of ['1', '2', '3']) await app.publisher.invalidateUser(id);
    const last = start(onChannel(app.channel, '--json', '--last', '2'));
    const since = start(onChannel(app.channel, '--json', '--since', '1h'));
    const live = start(onChannel(app.channel, '--json'));
    await Promise.all([last.listens(), since.listens(), live.listens()]);
    await prints(last, ['2', '3']);
    await prints(since, ['1', '2', '3']);

    await app.publisher.invalidateUser('4');
    await prints(last, ['2', '3', '4']);
    await prints(since, ['1', '2', '3', '4']);
    await prints(live, ['4']);
    const replayed = last.lines().map((line) => json(line)['replayed']);
    expect(replayed).toEqual([true, true, false]);
  });

  it('prints missed messages after a reconnect', async () => {
    const server = await startServer();
    const hand = new Hand(server, uniqueChannel());
    const tail = start(onChannel(hand.channel, '--json'), {
      env: { REDIS_URL: server.url },
    });
    await tail.listens();
    await hand.say('1');
    await prints(tail, ['1']);
    await hand.whileAllAreAway((multi) => multi.eval(...hand.saying(['2'])));
    await hand.say('3');
    await prints(tail, ['1', '2', '3']);
    expect(tail.err()).toContain('the connection was lost');
    // One message was lost on the way, without a broken connection.
    await hand.mumble('4');
    await hand.say('5');
    await prints(tail, ['1', '2', '3', '4', '5']);
    expect(tail.err()).not.toContain('something was missed');
  });

  it('reports missed messages that the journal no longer has', async () => {
    const server = await startServer();
    const hand = new Hand(server, uniqueChannel());
    const tail = start(onChannel(hand.channel, '--json'), {
      env: { REDIS_URL: server.url },
    });
    await tail.listens();
    await hand.say('1');
    await prints(tail, ['1']);
    await hand.whileAllAreAway((multi) => {
      multi.eval(...hand.saying(['2']));
      multi.del(hand.journal);
    });
    await eventually(
      () => expect(tail.err()).toContain('something was missed'),
      patient,
    );
    await hand.say('3', '4');
    await prints(tail, ['1', '3', '4']);
    // The message is received, but gone from the journal before a replay.
    await hand.redis
      .multi()
      .del(hand.journal)
      .eval(...hand.saying(['5']))
      .del(hand.journal)
      .exec();
    await prints(tail, ['1', '3', '4', '5']);
  });

  it('detects a half-open connection', async () => {
    const server = await startServer();
    const proxy = await startProxy(server.port);
    onTestFinished(() => proxy.close());
    const hand = new Hand(server, uniqueChannel());
    const tail = start(
      onChannel(hand.channel, '--json', '--timeout', '500ms'),
      { env: { REDIS_URL: proxy.url } },
    );
    await tail.listens();
    // The first message proves that the tail knows where the journal ends.
    await hand.say('1');
    await prints(tail, ['1']);
    proxy.swallow();
    await hand.say('2');
    await eventually(
      () => expect(tail.err()).toContain('the connection was lost'),
      patient,
    );
    proxy.pass();
    await prints(tail, ['1', '2']);
  });

  it('fails immediately without a server', async () => {
    const { code, out, err } = await run(['tail', '--timeout', '1h'], {
      env: { REDIS_URL: 'redis://me:secret@127.0.0.1:1' },
    });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(
      /^nestjs-cache-invalidation tail: Cannot reach Redis at redis:\/\/127\.0\.0\.1:1: connect ECONNREFUSED .+\n$/,
    );
    expect(err).not.toContain('secret');
  });

  itOnRedisServer(
    'fails after --timeout when the server never responds',
    async () => {
      const server = await startServer({ real: true });
      server.pause();
      const { code, err } = await run(['tail', '--timeout', '300ms'], {
        env: { REDIS_URL: server.url },
      });
      expect(code).toBe(1);
      expect(err).toContain('Cannot reach Redis');
    },
  );

  it('waits for a server that was connected before', async () => {
    const server = await startServer();
    const tail = start(['tail', '--json', '--count', '1'], {
      env: { REDIS_URL: server.url },
    });
    await tail.listens();
    server.kill();
    await eventually(
      () => expect(tail.err()).toContain('ECONNREFUSED'),
      patient,
    );
    await server.restart();
    await eventually(
      () => expect(tail.err().match(/listening on/g)).toHaveLength(2),
      patient,
    );
    await connectRaw(server.url).publish('cache:invalidate', wire('1'));
    expect(await tail.ended).toBe(0);
    expect(subjects(tail)).toEqual(['1']);
    // Several attempts, but one report.
    expect(tail.err().match(/ECONNREFUSED/g)).toHaveLength(1);
  });

  it.each([['SIGINT'], ['SIGTERM']] as const)(
    'exits with 0 at %s',
    async (signal) => {
      const tail = start(onChannel(uniqueChannel()));
      await tail.listens();
      tail.child.kill(signal);
      expect(await tail.ended).toBe(0);
    },
  );

  it('exits with 0 at SIGINT while the server hangs', async () => {
    const proxy = await startProxy((await startServer()).port);
    onTestFinished(() => proxy.close());
    proxy.swallow();
    const tail = start(['tail', '--timeout', '1h'], {
      env: { REDIS_URL: proxy.url },
    });
    await eventually(() => expect(proxy.links).toBe(1), patient);
    tail.child.kill('SIGINT');
    expect(await tail.ended).toBe(0);
  });

  itOnRedisServer(
    'continues when the journal cannot be read, and reports it',
    async () => {
      const server = await startServer({ real: true });
      const hand = new Hand(server, uniqueChannel());
      const rules = ['+@all', '-xrange', '~*', '&*'];
      await hand.redis.acl('SETUSER', 'app', 'on', 'nopass', ...rules);
      const tail = start(onChannel(hand.channel, '--json', '--since', '1h'), {
        env: { REDIS_URL: server.url.replace('//', '//app:any@') },
      });
      await tail.listens();
      await eventually(
        () => expect(tail.err()).toContain('the journal could not be read'),
        patient,
      );
      await hand.say('1', '2');
      await prints(tail, ['1', '2']);
    },
  );

  it('exits silently when its output is closed', async () => {
    const app = await startApp();
    const tail = start(onChannel(app.channel, '--json'));
    await tail.listens();
    await app.publisher.invalidateUser('1');
    await prints(tail, ['1']);
    tail.child.stdout!.destroy();
    await app.publisher.invalidateUser('2');
    expect(await tail.ended).toBe(0);
    expect(tail.err()).not.toContain('EPIPE');
  });
});

describeOnRedisServer('tail with a user that', () => {
  it.each([
    ['has a wrong password', '//tailer:wrong@', 'WRONGPASS'],
    ['may not subscribe', '//stranger:any@', 'NOPERM'],
  ])('%s exits with 1 and prints the reason', async (_, user, reason) => {
    const server = await startServer();
    const redis = connectRaw(server.url);
    await redis.acl('SETUSER', 'tailer', 'on', '>right', '+@all', '~*', '&*');
    await redis.acl('SETUSER', 'stranger', 'on', 'nopass', '+ping', '+info');
    const { code, out, err } = await run(['tail'], {
      env: { REDIS_URL: server.url.replace('//', user) },
    });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain(`Redis at ${server.url} refuses: ${reason}`);
    expect(err).not.toContain('wrong@');
  });
});

// Queries of the shared server must not wait for other test files.
it('tail ignores other channels', async () => {
  const channel = `${uniqueChannel()}:${randomUUID()}`;
  const tail = start(onChannel(channel, '--json', '--count', '1'));
  await tail.listens();
  const redis = connectRaw(inject('redisUrl'));
  await redis.publish(uniqueChannel(), wire('other'));
  await redis.publish(channel, wire('mine'));
  expect(await tail.ended).toBe(0);
  expect(subjects(tail)).toEqual(['mine']);
});
