import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  InvalidationPublisher,
  NearCacheFactory,
  OnInvalidation,
} from 'nestjs-cache-invalidation';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { aclUsers, type AclUser } from '../../lib/transport/index.js';
import { eventually } from '../support/eventually.js';
import { type RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import {
  startCluster,
  startSentinel,
  type RedisCluster,
} from '../support/redis.topologies.js';
import { Hand, journalOf, wire } from '../subscriber/setup.js';
import { Instance } from '../../lib/message/index.js';
import { TLS_CHECK } from '../../lib/cli/doctor/tls-check.js';
import { NEEDED } from '../../lib/cli/doctor/versions-check.js';
import { root } from '../types/compile.js';
import {
  json,
  OBEYED,
  patient,
  run,
  start,
  withProgram,
  type RunOptions,
} from './program.js';

withProgram();

interface Finding {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly advice?: string;
  readonly details?: readonly Record<string, string>[];
}

interface Report {
  readonly code: unknown;
  readonly err: string;
  readonly status: string;
  /** Finding by the name of its check. */
  readonly of: (name: string) => Finding;
  readonly all: readonly Finding[];
}

async function examine(
  url: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<Report> {
  const { code, out, err } = await run(['doctor', '--json', ...args], {
    ...options,
    env: { REDIS_URL: url },
  });
  const { status, checks } = json(out) as { status: string; checks: Finding[] };
  return {
    code,
    err,
    status,
    all: checks,
    of: (name) => checks.find((check) => check.name === name)!,
  };
}

const statuses = ({ all }: Report): Record<string, string> =>
  Object.fromEntries(all.map(({ name, status }) => [name, status]));

const CHANNEL = 'cache:invalidate';

class HandlesUsers {
  @OnInvalidation('User')
  evict(): void {}
}

/** Starts an application on a server of its own, on the default channel. */
async function startPair(
  args: string[] = [],
): Promise<{ server: RedisServer; app: TestApp }> {
  const server = await startServer({ args, real: true });
  const app = await startApp({ connection: server.url, channel: CHANNEL });
  await app.publisher.invalidateUser('1');
  return { server, app };
}

describeOnRedisServer('doctor', () => {
  it('reports ok for a healthy setup', async () => {
    const { server } = await startPair();
    const report = await examine(server.url);
    expect(report).toMatchObject({ code: 0, err: '', status: 'ok' });
    expect(report.all.map(({ name }) => name)).toEqual([
      'versions',
      'connection',
      'round trip',
      'server',
      'cluster',
      'replication',
      'persistence',
      'idle timeout',
      'TLS',
      'memory policy',
      'output buffer',
      'rights',
      'subscribers',
      'clock',
      'journal',
      'journal chain',
      'signatures',
      'listeners',
      'handled types',
      'unpublished',
    ]);
    expect(report.of('subscribers').message).toBe(`listening on ${CHANNEL}: 1`);
    expect(report.of('journal').message).toMatch(
      /^1 messages in [\d.]+ K?i?B, from .+ none was trimmed yet$/,
    );
  });

  it('prints one line per check for people', async () => {
    const { server } = await startPair(['--maxmemory-policy', 'allkeys-lru']);
    const { code, out } = await run(['doctor'], {
      env: { REDIS_URL: server.url },
    });
    expect(code).toBe(0);
    expect(out).toMatch(/^ok {7}server {10}Redis \d/m);
    expect(out).toMatch(/^warn {5}memory policy {3}allkeys-lru/m);
    expect(out).toMatch(/^ {25}With one, the journal is evicted/m);
    expect(out).not.toMatch(OBEYED);
  });

  it('lists the listeners: service, instance, version, time of the connection', async () => {
    const { server } = await startPair();
    const other = await startApp({
      connection: server.url,
      channel: CHANNEL,
      serviceName: 'Bücher & co: 1',
    });
    await startApp({ connection: server.url, channel: 'another' });
    await connectRaw(server.url).subscribe(CHANNEL);
    const { version } = json(readFileSync(join(root, 'package.json'), 'utf8'));

    const report = await examine(server.url);
    const { status, message, details } = report.of('listeners');
    expect({ status, message }).toEqual({
      status: 'ok',
      message: '3, 1 of which give no name',
    });
    expect(details).toHaveLength(2);
    const found = details!.find(({ service }) => service !== 'test-service')!;
    expect(found).toEqual({
      service: 'Bücher & co: 1',
      instance: other.context.get(Instance, { strict: false }).origin,
      version,
      since: expect.any(String) as string,
    });
    const age = Date.now() - Date.parse(found['since']!);
    expect(age).toBeGreaterThanOrEqual(0);
    expect(age).toBeLessThan(60_000);

    const { out } = await run(['doctor'], { env: { REDIS_URL: server.url } });
    expect(out).toMatch(
      /^ok {7}listeners {7}3, 1 of which .+\n {25}\S+.*\n {25}\S+/m,
    );
    expect(out).toContain(
      `Bücher & co: 1  ${found['instance']}  ${String(version)}`,
    );
  });

  it('escapes a line feed in a service name', async () => {
    const server = await startServer({ real: true });
    await startApp({
      connection: server.url,
      channel: CHANNEL,
      serviceName: 'users\nfail     journal',
    });

    const { out } = await run(['doctor'], { env: { REDIS_URL: server.url } });

    expect(out).toContain(String.raw`users\u000afail     journal`);
    expect(out).not.toMatch(/^ *fail {5}journal/m);
  });

  it('reports entity types that no listener handles, and unknown while a listener is unnamed', async () => {
    const server = await startServer({ real: true });
    const options = { connection: server.url, channel: CHANNEL };
    const { context } = await startApp({
      quiet: true,
      ...options,
      heartbeatInterval: 50,
      providers: [HandlesUsers],
    });
    const publisher = context.get(InvalidationPublisher);
    for (let i = 0; i < 3; i++) await publisher.invalidateUser(String(i));
    const types = async (): Promise<Finding> =>
      (await examine(server.url)).of('handled types');
    expect(await types()).toMatchObject({ status: 'ok' });

    await publisher.invalidate('session', 's1');
    await publisher.invalidateBatch(['user:1', 'order:2', 'order:3']);
    await publisher.invalidatePattern('*:7');
    expect(await types()).toMatchObject({
      status: 'warn',
      message:
        'published, and handled by nobody who listens now: session (1), order (1), of the last 6 messages',
    });

    // Types are reported within a heartbeat, over the existing connection.
    const caches = context.get(NearCacheFactory);
    const sessions = caches.create('session', { ttl: 60_000 });
    const orders = caches.create('order', { ttl: 60_000 });
    await eventually(async () => expect((await types()).status).toBe('ok'), {
      timeout: 20_000,
    });
    expect([sessions, orders]).toHaveLength(2);

    const raw = connectRaw(server.url);
    await raw.subscribe(CHANNEL);
    expect(await types()).toMatchObject({
      status: 'unknown',
      message: '1 of 2 listeners do not say what they handle',
    });
    await startApp(options);
    expect((await types()).message).toMatch(/^all of them: test-service/);
  });

  it('reports entity types that listeners handle, and nobody publishes', async () => {
    const server = await startServer();
    const { context } = await startApp({
      quiet: true,
      connection: server.url,
      channel: CHANNEL,
      heartbeatInterval: 50,
      providers: [HandlesUsers],
    });
    const publisher = context.get(InvalidationPublisher);
    const unpublished = async (): Promise<Finding> =>
      (await examine(server.url)).of('unpublished');
    expect(await unpublished()).toMatchObject({
      status: 'unknown',
      message: 'there is no message to compare with',
    });
    await publisher.invalidateUser('1');
    expect(await unpublished()).toMatchObject({ status: 'ok' });

    const rights = context.get(NearCacheFactory).create('Permission');
    await publisher.invalidate('Permision', '1');
    await publisher.invalidateAll();
    await eventually(
      async () =>
        expect(await unpublished()).toMatchObject({
          status: 'warn',
          message:
            'handled, and not published in the last 3 messages: Permission',
        }),
      { timeout: 20_000 },
    );

    await publisher.invalidateBatch(['Permission:1']);
    expect(await unpublished()).toMatchObject({ status: 'ok' });
    expect(rights.stats.size).toBe(0);
  });

  it('fails immediately without a server', async () => {
    const report = await examine('redis://u:secret@127.0.0.1:1');
    expect(report.code).toBe(1);
    expect(statuses(report)).toEqual({ versions: 'ok', connection: 'fail' });
    expect(report.of('connection').message).toContain('ECONNREFUSED');
    expect(JSON.stringify(report.all)).not.toContain('secret');
  });

  it('fails after --timeout when the server hangs', async () => {
    const server = await startServer();
    server.pause();
    const report = await examine(server.url, ['--timeout', '300ms']);
    server.resume();
    expect(report.code).toBe(1);
    expect(report.of('connection').message).toContain('for 300 ms');
  });

  it('continues when one check hangs', async () => {
    const { server } = await startPair();
    const redis = connectRaw(server.url);
    await redis.acl('SETUSER', 'app', 'on', 'nopass', '+@all', '~*', '&*');
    const url = server.url.replace('//', '//app:any@');
    // Scripts wait, while reads do not.
    await redis.call('CLIENT', 'PAUSE', '60000', 'WRITE');
    const report = await examine(url, ['--timeout', '1s']);
    expect(report.of('rights')).toMatchObject({
      status: 'unknown',
      message: expect.stringContaining('for 1000 ms') as string,
    });
    expect(report.of('journal chain').status).toBe('ok');
    expect(report.code).toBe(0);
  });

  it.each([
    ['253402300799999-5', false],
    [`${2n ** 64n - 1n}-${2n ** 64n - 1n}`, false],
    ['253402300799999-5', true],
  ])(
    'fails when the journal ends at %s (deleted: %s)',
    async (id, isDeleted) => {
      const { server } = await startPair();
      const redis = connectRaw(server.url);
      await redis.xadd(journalOf(CHANNEL), id, 'm', 'forged');
      if (isDeleted) await redis.xdel(journalOf(CHANNEL), id);
      const report = await examine(server.url);
      expect(report).toMatchObject({ code: 1, status: 'fail' });
      expect(report.of('journal').message).toContain(`it ends at ${id}`);
      expect(report.of('journal').advice).toContain(
        `DEL ${journalOf(CHANNEL)}`,
      );
    },
  );

  it('reports missing rights of the "default" user', async () => {
    const { server } = await startPair();
    await connectRaw(server.url).acl('SETUSER', 'default', '-xadd', '-acl');
    expect((await examine(server.url)).of('rights')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('lacks XADD') as string,
    });
  });

  it('reports why Redis refuses the connection', async () => {
    const { server } = await startPair();
    await connectRaw(server.url).config('SET', 'maxclients', '1');
    expect((await examine(server.url)).of('connection')).toMatchObject({
      status: 'fail',
      message: expect.stringMatching(
        /max number of clients|beyond maxclients/,
      ) as string,
    });
  });

  it.each([
    ['yes', { encrypted: true }, {}, 'ok'],
    ['no', { remoteAddress: '127.0.0.1' }, { password: 'pw' }, 'ok'],
    ['no', { remoteAddress: '::1' }, { password: 'pw' }, 'ok'],
    ['no', { remoteAddress: undefined }, { password: 'pw' }, 'ok'],
    ['no', { remoteAddress: '10.0.0.1' }, {}, 'ok'],
    ['no', { remoteAddress: '10.0.0.1' }, { password: 'pw' }, 'warn'],
    ['no', { remoteAddress: '10.0.0.1' }, { tls: {} }, 'fail'],
    [
      'yes',
      { encrypted: true },
      { sentinels: [], sentinelPassword: 'pw' },
      'warn',
    ],
  ])(
    'reports whether TLS is used: %s, for %j with %j',
    async (says, stream, options, status) => {
      const client = { isCluster: false, stream, options };
      const finding = await TLS_CHECK.run({ client } as never);
      expect(finding).toMatchObject({ status });
      expect(finding.message).toMatch(new RegExp(`^${says}\\b`));
    },
  );

  describe('rights of the user', () => {
    async function as(
      server: RedisServer,
      ...rules: string[]
    ): Promise<string> {
      const redis = connectRaw(server.url);
      await redis.acl('SETUSER', 'app', 'on', 'nopass', ...rules);
      return server.url.replace('//', '//app:any@');
    }

    it('fails, and lists the missing rights', async () => {
      const { server } = await startPair();
      const url = await as(server, '+@all', '-xadd', '-time', '~*', '&*');
      const report = await examine(url);
      expect(report.code).toBe(1);
      const { status, message, advice } = report.of('rights');
      expect({ status, message }).toEqual({
        status: 'fail',
        message: 'user app lacks XADD, TIME',
      });
      expect(advice).toContain('+xadd');
    });

    it.each(['both', 'subscriber', 'publisher'] as const)(
      'reports ok for the least rights of role %s',
      async (role) => {
        const { server } = await startPair();
        const [{ rules }] = aclUsers({
          role,
          channel: CHANNEL,
          sharded: false,
          topology: 'server',
        }) as [AclUser];
        const url = await as(server, ...rules);
        const { code, of } = await examine(url, ['--role', role]);
        expect(code).toBe(0);
        expect(of('rights')).toMatchObject({
          status: 'ok',
          message: `user unknown has the rights that role ${role} needs`,
        });
      },
    );

    it('fails for the role that lacks a right, and not for another', async () => {
      const { server } = await startPair();
      const url = await as(server, '+@all', '-xadd', '-eval', '~*', '&*');
      const env = { REDIS_URL: url };
      const asked = async (...args: string[]): Promise<Finding> => {
        const { of } = await examine(url, args, { env });
        return of('rights');
      };
      expect(await asked('--role', 'subscriber')).toMatchObject({
        status: 'ok',
      });
      const { status, advice } = await asked('--role', 'publisher');
      expect(status).toBe('fail');
      expect(advice).toContain('+xadd');
      expect(advice).not.toContain('+subscribe');
    });

    it('reports what the least rights do not show as unknown', async () => {
      const { server } = await startPair();
      const [{ rules }] = aclUsers({
        role: 'both',
        channel: CHANNEL,
        sharded: false,
        topology: 'server',
      }) as [AclUser];
      const url = await as(server, ...rules);
      const report = await examine(url);
      expect(report.code).toBe(0);
      const { rights: ofRights, journal, ...others } = statuses(report);
      expect({ ofRights, journal }).toEqual({ ofRights: 'ok', journal: 'ok' });
      expect(others).toMatchObject({
        'idle timeout': 'unknown',
        'output buffer': 'unknown',
        subscribers: 'unknown',
      });
      expect(report.of('subscribers').message).toMatch(/^cannot tell: NOPERM/);
    });
  });

  it.each<[string, string[], string, RegExp]>([
    [
      'memory policy',
      ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lfu'],
      'warn',
      /journal may be evicted/,
    ],
    [
      'memory policy',
      ['--maxmemory', '100mb', '--maxmemory-policy', 'volatile-lru'],
      'ok',
      /of 100.0 MiB used/,
    ],
    ['memory policy', ['--maxmemory', '1'], 'fail', /refused/],
    [
      'replication',
      ['--min-replicas-to-write', '1'],
      'fail',
      /0 of 1 replicas/,
    ],
    [
      'output buffer',
      ['--client-output-buffer-limit', 'pubsub 1mb 0 0'],
      'warn',
      /1.0 MiB/,
    ],
    [
      'output buffer',
      ['--client-output-buffer-limit', 'pubsub 0 0 0'],
      'warn',
      /no limit/,
    ],
    ['idle timeout', ['--timeout', '3'], 'warn', /^3 s/],
    ['idle timeout', ['--timeout', '60'], 'ok', /^60 s/],
    ['cluster', ['--cluster-enabled', 'yes'], 'fail', /node of a cluster/],
    ['server', [], 'ok', /^Redis \d/],
    ['subscribers', [], 'warn', /nobody listens/],
    ['journal', [], 'warn', /every reconnect evicts everything/],
    ['persistence', ['--appendonly', 'yes'], 'ok', /append-only file/],
  ])('reports %s with %j as %s', async (name, args, status, message) => {
    const server = await startServer({ args, real: true });
    const report = await examine(server.url);
    const finding = report.of(name);
    expect(finding).toMatchObject({
      status,
      message: expect.stringMatching(message) as string,
    });
    expect(finding.advice === undefined).toBe(status === 'ok');
    expect(report.code).toBe(report.status === 'fail' ? 1 : 0);
  });

  describe('journal', () => {
    const startHand = async (): Promise<{
      server: RedisServer;
      hand: Hand;
    }> => {
      const server = await startServer();
      return { server, hand: new Hand(server, CHANNEL) };
    };

    it('reports how long an outage it covers, and the length that covers an hour', async () => {
      const { server, hand } = await startHand();
      await hand.say(1, 2, 3, 4, 5, 6, 7, 8, 9);
      await hand.redis.xtrim(hand.journal, 'MAXLEN', 5);
      const { status, message, advice } = (await examine(server.url)).of(
        'journal',
      );
      expect(status).toBe('warn');
      expect(message).toMatch(/^5 messages .+; an outage of .+ is covered/);
      const [, length] = /maxLength: (\d+)/.exec(advice!) ?? [];
      expect(Number(length)).toBeGreaterThan(5);
    });

    it('reports ok for a journal that covers an hour', async () => {
      const { server, hand } = await startHand();
      const id = `${Date.now() - 3_600_000}-1`;
      const fields = { offset: id, previous: '1-1' };
      await hand.redis.xadd(hand.journal, id, 'm', wire(1, fields));
      const { status, message } = (await examine(server.url)).of('journal');
      expect({ status, message }).toEqual({
        status: 'ok',
        message: expect.stringContaining(
          'an outage of 60 min is covered',
        ) as string,
      });
    });

    it.each<[string, (hand: Hand, second: string) => Promise<unknown>, RegExp]>(
      [
        [
          'a gap',
          (hand, second) => hand.redis.xdel(hand.journal, second),
          /^1 breaks in the last 2/,
        ],
        [
          'a foreign entry',
          (hand) => hand.redis.xadd(hand.journal, '*', 'm', 'x'),
          /^1 of the last 4 entries/,
        ],
        [
          'a message without an offset',
          (hand) => hand.redis.xadd(hand.journal, '*', 'm', wire(9)),
          /^1 of the last 4 entries/,
        ],
      ],
    )('finds %s', async (_, harm, message) => {
      const { server, hand } = await startHand();
      await hand.say(1);
      const second = await hand.say(2);
      await hand.say(3);
      expect((await examine(server.url)).of('journal chain').status).toBe('ok');
      await harm(hand, second);
      expect((await examine(server.url)).of('journal chain')).toMatchObject({
        status: 'warn',
        message: expect.stringMatching(message) as string,
      });
    });

    it('fails if its key is of another type', async () => {
      const { server, hand } = await startHand();
      await hand.redis.set(hand.journal, 'x');
      const report = await examine(server.url);
      expect(report.code).toBe(1);
      expect(report.of('journal').status).toBe('fail');
      expect(report.of('journal chain').status).toBe('unknown');
    });
  });

  it.each([
    [
      wire(1),
      /1 messages in 3 s, without a place in the journal from a-script/,
    ],
    ['no message', /1 messages in 3 s, 1 of them malformed/],
  ])(
    'reports foreign and malformed messages with --listen (%#)',
    async (payload, message) => {
      const { server } = await startPair();
      const doctor = start(['doctor', '--json', '--listen', '3s'], {
        env: { REDIS_URL: server.url },
      });
      const redis = connectRaw(server.url);
      // Subscriptions of the application and of the doctor.
      await eventually(async () => {
        const [, listeners] = await redis.pubsub('NUMSUB', CHANNEL);
        expect(listeners).toBe(2);
      }, patient);
      await redis.publish(CHANNEL, payload);
      expect(await doctor.ended).toBe(0);
      const { checks } = json(doctor.out()) as { checks: Finding[] };
      expect(checks.at(-1)).toMatchObject({
        name: 'channel',
        status: 'warn',
        message: expect.stringMatching(message) as string,
      });
    },
  );

  it('fails for a replica, and finds its master through Sentinel', async () => {
    const sentinel = await startSentinel();
    onTestFinished(() => sentinel.stop());
    const replica = await examine(sentinel.replica.url);
    expect(replica.code).toBe(1);
    expect(replica.of('replication').status).toBe('fail');

    const addresses = sentinel.sentinels.map(
      ({ host, port }) => `${host}:${port}`,
    );
    const report = await examine(sentinel.replica.url, [
      '--sentinel',
      addresses.join(),
      '--name',
      sentinel.name,
    ]);
    expect(report.code).toBe(0);
    expect(report.of('replication').message).toBe('a master, replicas: 1');
    expect(report.of('connection').message).toContain('by the Sentinels');
  }, 60_000);
});

describeOnRedisServer('doctor on a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => void (cluster = await startCluster()), 60_000);
  afterAll(() => cluster.stop());

  it.each([[false], [true]])(
    'checks every node (sharded: %j)',
    async (sharded) => {
      const { nodes, servers } = cluster;
      const channel = uniqueChannel();
      const connection = { cluster: { nodes } };
      const apps = await Promise.all(
        [1, 2, 3].map(() => startApp({ connection, channel, sharded })),
      );
      await eventually(() => {
        for (const { subscriber } of apps)
          expect(subscriber.status.state).toBe('live');
      });
      await apps[0]!.publisher.invalidateUser('1');
      const args = ['--cluster', '--channel', channel];
      if (sharded) args.push('--sharded');
      const report = await examine(servers[0]!.url, args);
      expect(report.all.filter(({ status }) => status !== 'ok')).toEqual([]);
      expect(report.of('cluster').message).toBe('state ok (3 masters)');
      expect(report.of('subscribers').message).toContain(': 3');
      expect(report.of('listeners').message).toBe('3');
      expect(report.of('handled types').message).toMatch(/^all of them/);
    },
  );

  it('names the node with a warning', async () => {
    const [, second, third] = cluster.servers;
    await connectRaw(second!.url).config(
      'SET',
      'maxmemory-policy',
      'allkeys-lru',
    );
    const report = await examine(third!.url, ['--cluster']);
    expect(report.of('memory policy')).toMatchObject({ status: 'warn' });
    expect(report.of('memory policy').message).toContain(
      `:${second!.port}: allkeys-lru`,
    );
  });
});

describe('doctor: installed versions', () => {
  it('requires the peer dependencies of the package', () => {
    const { peerDependencies } = json(
      readFileSync(join(root, 'package.json'), 'utf8'),
    ) as { peerDependencies: Record<string, string> };
    for (const [name, [major, minor], most] of NEEDED.slice(1)) {
      const range = peerDependencies[name]!.split(' || ');
      expect(range[0]).toBe(`^${major}.${minor}.0`);
      expect(range.at(-1)).toBe(`^${most}.0.0`);
    }
  });

  it.each([
    ['ioredis', '5.3.2', 'fail'],
    ['ioredis', '5.4.0', 'ok'],
    ['ioredis', '7.0.0', 'fail'],
    ['@nestjs/core', '10.4.0', 'fail'],
    ['@nestjs/core', '11.0.1', 'ok'],
  ])('%s %s: %s', async (name, version, status) => {
    const cwd = mkdtempSync(join(tmpdir(), 'doctor-'));
    onTestFinished(() => rmSync(cwd, { recursive: true }));
    const folder = join(cwd, 'node_modules', name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ version }));
    const report = await examine('redis://127.0.0.1:1', [], { cwd });
    expect(report.of('versions')).toMatchObject({
      status,
      message: expect.stringContaining(`${name} ${version}`) as string,
    });
    expect(report.of('versions').message).toContain('not found from here');
  });
});
