import { type InvalidationMessage } from 'nestjs-cache-invalidation';
import { decodeMessage } from 'nestjs-cache-invalidation/wire';
import { afterAll, beforeAll, describe, expect, it, inject } from 'vitest';
import {
  connectRaw,
  said,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import {
  startCluster,
  type RedisCluster,
} from '../support/redis.topologies.js';
import {
  hears,
  journalOf,
  NO_HEARTBEAT,
  startOnLinks,
  summary,
  users,
} from '../subscriber/setup.js';
import { runProgram } from '../../lib/cli/program.js';
import { json, patient, recordingIo, run, withProgram } from './program.js';

withProgram();

const onChannel = (channel: string, ...more: string[]): string[] => [
  'publish',
  '--channel',
  channel,
  ...more,
];

describe('publish', () => {
  it.each<[string[], Partial<InvalidationMessage>, string]>([
    [['User', '123'], { action: 'Delete', metadata: null }, 'User:123'],
    [['session', 'a:b', '--update'], { action: 'Update' }, 'session:a:b'],
    [['--batch', 'user:1', 'post:2'], { action: 'Batch' }, 'user:1,post:2'],
    [['--pattern', 'feed:42:*'], { action: 'Pattern' }, 'feed:42:*'],
    [['--all', '--yes'], { action: 'Pattern' }, '*'],
    [
      ['User', '1', '--service', 'import', '--metadata', '{"why":["late"]}'],
      { sourceService: 'import', metadata: { why: ['late'] } },
      'User:1',
    ],
    [['User', '2', '--no-journal'], { offset: null }, 'User:2'],
  ])('%j is received by applications', async (args, fields, text) => {
    const app = await startApp();
    const { code, out, err } = await run(onChannel(app.channel, ...args));
    expect({ code, err }).toEqual({ code: 0, err: '' });
    await eventually(() => expect(app.messages).toHaveLength(1));
    const [message] = app.messages;
    expect(said(message!)).toBe(text);
    expect(message).toMatchObject({ sourceService: 'cli', ...fields });
    expect(out).toContain(`delivered  ${message!.messageId}`);
    expect(out).toContain(
      `offset     ${message!.offset ?? 'none: not in the journal'}`,
    );
    expect(out).toContain('receivers  1');
  });

  it('is replayed by an application that was away', async () => {
    const { app, links, server } = await startOnLinks(NO_HEARTBEAT);
    const { offset } = await app.publisher.invalidateUser('1');
    // An instance at the beginning of a journal could not tell it from a new one.
    await app.subscriber.caughtUp(offset!);
    links.subscription.swallow();
    links.subscription.cut();
    const args = onChannel(app.channel, 'User', '2', '--json');
    const { code, out } = await run(args, { env: { REDIS_URL: server.url } });
    expect(code).toBe(0);
    const receipt = json(out);
    expect(receipt).toMatchObject({ status: 'delivered', receivers: 0 });
    expect(summary(app)).toEqual(users(1));
    links.subscription.pass();
    await hears(app, users(1, 2));
    expect(app.messages[1]).toMatchObject({
      messageId: receipt['messageId'],
      offset: receipt['offset'],
      widened: null,
    });
  });

  it('prints a warning if there is no listener', async () => {
    const { code, err } = await run(onChannel(uniqueChannel(), 'User', '1'));
    expect(code).toBe(0);
    expect(err).toContain('Nobody listens on');
  });

  it('--dry-run prints the message, and publishes nothing', async () => {
    const app = await startApp();
    const args = ['User', '1', '--dry-run'];
    const { out } = await run(onChannel(app.channel, ...args), {
      env: { REDIS_URL: 'redis://127.0.0.1:1' },
    });
    expect(decodeMessage(out, 1_000)).toMatchObject({
      entityId: '1',
      widened: null,
    });
    await app.publisher.invalidateUser('2');
    await hears(app, users(2));
  });

  describe('an entity type that was never published', () => {
    const UNSEEN = 'Nobody has published sesion lately.';

    async function startWithPast(): Promise<TestApp> {
      const app = await startApp();
      await app.publisher.invalidate('session', '1');
      await app.publisher.invalidateBatch(['order:1']);
      return app;
    }

    it.each([
      ['sesion', '1'],
      ['--batch', 'user:1', 'session:1', 'sesion:1'],
    ])('is rejected without a terminal: %j', async (...args) => {
      const app = await startWithPast();
      const { code, out, err } = await run(onChannel(app.channel, ...args));
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toContain(UNSEEN);
      expect(err).toContain('add --yes');
      expect(app.messages).toHaveLength(2);
      const meant = await run(onChannel(app.channel, ...args, '--yes'));
      expect(meant.code).toBe(0);
      await eventually(() => expect(app.messages).toHaveLength(3));
      // The message has arrived by now.
      expect((await run(onChannel(app.channel, ...args))).code).toBe(0);
    });

    it.each([
      ['User', '1'],
      ['Feed', '1'],
      ['session', '9'],
      ['order', '9'],
      ['--pattern', 'sesion:*'],
    ])(
      'accepts published types, built-in types and patterns: %j',
      async (...args) => {
        const app = await startWithPast();
        expect((await run(onChannel(app.channel, ...args))).code).toBe(0);
      },
    );

    it.each([[true], [false]])(
      'is confirmed on a terminal, and the answer %j applied',
      async (answer) => {
        const app = await startWithPast();
        const questions: string[] = [];
        const io = {
          ...recordingIo(),
          env: { REDIS_URL: inject('redisUrl') },
          ask: async (question: string) => {
            questions.push(question);
            return answer;
          },
        };
        const args = onChannel(app.channel, 'sesion', '1');
        expect(await runProgram(args, io)).toBe(answer ? 0 : 1);
        expect(questions).toEqual([`${UNSEEN} Publish it all the same?`]);
        await app.publisher.invalidate('session', '2');
        expect(app.messages.map(said)).toEqual([
          'session:1',
          'order:1',
          ...(answer ? ['sesion:1'] : []),
          'session:2',
        ]);
      },
    );

    it('is found among many later messages', async () => {
      const app = await startWithPast();
      const { publisher } = app;
      await Promise.all(
        Array.from({ length: 450 }, (_, n) => publisher.invalidate('User', n)),
      );
      const { code } = await run(onChannel(app.channel, 'order', '1'));
      expect(code).toBe(0);
    });
  });

  it('does not trim the journal of the services', async () => {
    const channel = uniqueChannel();
    const redis = connectRaw();
    const key = journalOf(channel);
    const fill = `for i = 1, 60000 do redis.call('XADD', KEYS[1], i .. '-1', 'm', '') end`;
    await redis.eval(fill, 1, key);
    expect((await run(onChannel(channel, 'User', '1'))).code).toBe(0);
    expect(await redis.xlen(key)).toBe(60_001);
    await redis.del(key);
  });
});

describeOnRedisServer('publish when Redis refuses or hangs', () => {
  it('exits with 1 and prints the reason', async () => {
    const server = await startServer({
      args: ['--maxmemory', '1', '--maxmemory-policy', 'noeviction'],
    });
    const { code, out, err } = await run(['publish', 'User', '1'], {
      env: { REDIS_URL: server.url },
    });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('Redis did not take it: OOM');
  });

  it('fails after --timeout when the server hangs', async () => {
    const server = await startServer();
    server.pause();
    const { code, err } = await run(
      ['publish', 'User', '1', '--timeout', '300ms'],
      { env: { REDIS_URL: server.url } },
    );
    server.resume();
    expect(code).toBe(1);
    expect(err).toContain('has not answered a connection for 300 ms');
  });
});

describeOnRedisServer('publish to a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => void (cluster = await startCluster()), 60_000);
  afterAll(() => cluster.stop());

  it.each([[false], [true]])(
    'is received by applications (sharded: %j)',
    async (sharded) => {
      const { nodes, servers } = cluster;
      const app = await startApp({
        connection: { cluster: { nodes } },
        sharded,
      });
      await eventually(() => expect(app.subscriber.status.state).toBe('live'));
      const args = onChannel(app.channel, 'User', '1', '--cluster');
      const { code, out, err } = await run(args, {
        env: {
          REDIS_URL: servers[0]!.url,
          CACHE_INVALIDATION_SHARDED: String(sharded),
        },
      });
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toContain(
        sharded ? 'receivers  1\n' : ' on one node of the cluster',
      );
      await eventually(() => expect(summary(app)).toEqual(users(1)), patient);
    },
  );
});

it('publish: --url takes precedence over REDIS_URL', async () => {
  const channel = uniqueChannel();
  const app = await startApp({ channel });
  const { code } = await run(
    ['publish', 'User', '1', '--url', inject('redisUrl')],
    {
      env: {
        REDIS_URL: 'redis://127.0.0.1:1',
        CACHE_INVALIDATION_CHANNEL: channel,
      },
    },
  );
  expect(code).toBe(0);
  await hears(app, users(1));
});
