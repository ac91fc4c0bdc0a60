import { Redis, type RedisOptions } from 'ioredis';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { NearCacheFactory } from '../../lib/cache/index.js';
import type { InvalidationRole } from '../../lib/common/index.js';
import {
  aclUsers,
  type AclNeeds,
  type AclUser,
  type AclVersion,
  type RedisConnection,
} from '../../lib/transport/index.js';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRedis, type RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import {
  startCluster,
  startSentinel,
  type RedisCluster,
} from '../support/redis.topologies.js';
import { RestrictedUsers } from '../support/restricted-user.js';
import { Hand, patient, summary } from '../subscriber/setup.js';

const QUICK = { heartbeatInterval: 50 };
const credentialsOf = (username: string): RedisOptions => ({
  username,
  password: RestrictedUsers.PASSWORD,
});

/** An application under a restricted user, and one beside it that may do everything. */
interface Deployment {
  readonly users: RestrictedUsers;
  readonly role: InvalidationRole;
  readonly app: TestApp;
  readonly peer: TestApp;
  /** Beginning of the keys of the second tier; `null` without one. */
  readonly prefix: string | null;
}

interface Where {
  readonly urls: readonly string[];
  readonly connect: (username?: string) => RedisConnection;
  readonly topology: AclNeeds['topology'];
}

let count = 0;

async function deploy(
  { urls, connect, topology }: Where,
  {
    role = 'both',
    l2 = false,
    sharded = false,
    version,
  }: {
    role?: InvalidationRole;
    l2?: boolean;
    sharded?: boolean;
    version?: AclVersion;
  },
): Promise<Deployment> {
  const channel = uniqueChannel();
  const service = `service-${++count}`;
  const users = new RestrictedUsers(urls, service, {
    role,
    channel,
    sharded,
    topology,
    l2: l2 ? [`near:${service}`] : [],
    ...(version && { version }),
  });
  await users.create();
  const peer = await startApp({
    connection: connect(),
    channel,
    sharded,
    ...QUICK,
  });
  const app = await startApp({
    connection: connect(service),
    serviceName: service,
    channel,
    role,
    sharded,
    quiet: role === 'publisher',
    startupTimeout: 5_000,
    ...QUICK,
    providers: l2
      ? [
          {
            provide: 'users',
            inject: [NearCacheFactory],
            useFactory: (caches: NearCacheFactory) =>
              caches.create('User', {
                l2:
                  version?.[0] === 6
                    ? { connection: connect(`${service}-l2`) }
                    : {},
              }),
          },
        ]
      : [],
  });
  return { users, role, app, peer, prefix: l2 ? `near:${service}:` : null };
}

/** Publishes on every way that the role has, and waits until it was heard. */
async function converse(
  { app, peer, role }: Deployment,
  id: string,
): Promise<void> {
  const ways = [
    { from: app, to: peer, isOpen: role !== 'subscriber' },
    { from: peer, to: app, isOpen: role !== 'publisher' },
  ];
  for (const [index, { from, to }] of ways
    .filter(({ isOpen }) => isOpen)
    .entries()) {
    const said = `${id}-${index}`;
    await eventually(
      async () =>
        expect(await from.publisher.invalidateUser(said)).toMatchObject({
          status: 'delivered',
        }),
      patient,
    );
    await eventually(
      () => expect(summary(to)).toContain(`User:${said}`),
      patient,
    );
  }
}

/** Loses a message on its way, and cuts the subscription: the journal has it. */
async function miss(
  { users, app }: Deployment,
  ownerUrl: string,
): Promise<void> {
  const hand = new Hand({ url: ownerUrl }, app.channel);
  await hand.mumble('missed');
  await users.disconnect('pubsub');
  await eventually(
    () => expect(summary(app)).toContain('User:missed'),
    patient,
  );
  expect(app.stats.snapshot().widened).toBe(0);
}

/** A heartbeat that began by now has proved that nothing was missed. */
async function proven({ app }: Deployment): Promise<void> {
  const before = performance.now();
  await eventually(
    () =>
      expect(app.subscriber.staleness()).toBeLessThan(
        performance.now() - before,
      ),
    patient,
  );
}

async function sweep(
  { app, peer, prefix }: Deployment,
  store: Redis,
  urlOfLease: string,
): Promise<void> {
  const leases = new Redis(urlOfLease);
  onTestFinished(() => leases.disconnect());
  const users = app.context.get<{
    get(id: string, load: () => string): Promise<string>;
  }>('users');
  const key = `${prefix}user:1`;
  const expectStored = (exists: number): Promise<void> =>
    eventually(async () => expect(await store.exists(key)).toBe(exists), {
      timeout: 15_000,
    });
  await users.get('1', () => 'Ada');
  await expectStored(1);
  await peer.publisher.invalidatePattern('user:*');
  await expectStored(0);
  await eventually(
    async () => expect(await users.get('1', () => 'Ada')).toBe('Ada'),
    patient,
  );
  await expectStored(1);
  await peer.publisher.invalidateUser('1');
  await expectStored(0);
  const lease = `${prefix}~sweep:user:`;
  await eventually(async () => expect(await leases.exists(lease)).toBe(0));
}

async function work(
  where: Where,
  options: Parameters<typeof deploy>[1],
  ownerUrl: (key: string) => Promise<string>,
): Promise<{ denied: unknown[]; harmful: string[] }> {
  const deployment = await deploy(where, options);
  const { app, users } = deployment;
  expect(app.subscriber.status.state).toBe('live');
  await converse(deployment, 'first');
  if (deployment.prefix !== null) {
    const { prefix } = deployment;
    const store = new Redis(await ownerUrl(`${prefix}user:1`));
    onTestFinished(() => store.disconnect());
    await sweep(deployment, store, await ownerUrl(`${prefix}~sweep:user:`));
  }
  if (deployment.role !== 'publisher') {
    await miss(deployment, await ownerUrl(users.journal));
  }
  await users.disconnect();
  await converse(deployment, 'second');
  await proven(deployment);
  return { denied: await users.denied(), harmful: await users.harmful() };
}

const HARMLESS = { denied: [], harmful: [] };

const ROLES_AND_TIERS = [
  { role: 'both', l2: false },
  { role: 'both', l2: true },
  { role: 'subscriber', l2: false },
  { role: 'subscriber', l2: true },
  { role: 'publisher', l2: false },
] as const;

describe('aclUsers()', () => {
  const needs = {
    role: 'both',
    channel: 'a',
    sharded: false,
    topology: 'server',
  } as const;

  it('takes channels and prefixes for what they say, and not for globs', () => {
    const [user] = aclUsers({ ...needs, channel: 'a*b c', l2: ['x?'] });
    expect(user!.rules).toContain('~{a\\*b?c}:journal');
    expect(user!.rules).toContain('&a\\*b?c');
    expect(user!.rules.at(-1)).toMatch(/~x\\\?\*\)$/);
  });

  it('does not let one service reach the entries of another with a longer name', () => {
    for (const prefix of ['near:user', 'near:user:']) {
      const [user] = aclUsers({ ...needs, l2: [prefix] });
      expect(user!.rules.at(-1)).toContain(
        '~near:user:* ~near:user#* ~near:user~foreign:*)',
      );
    }
  });

  it('grants CLIENT SETINFO to versions that have it', () => {
    const rulesOf = (version: AclVersion) =>
      aclUsers({ ...needs, version })[0]!.rules;
    expect(rulesOf([7, 2])).toContain('+client|setinfo');
    expect(rulesOf([8, 0])).toContain('+client|setinfo');
    expect(rulesOf([7, 0])).not.toContain('+client|setinfo');
  });
});

describeOnRedisServer('Least rights on a server', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis({ real: true });
  });
  afterAll(() => server.stop());

  describe.each<AclVersion[]>([[[7, 0]], [[6, 2]]])(
    'of version %j',
    (version) => {
      it.each(ROLES_AND_TIERS)(
        'are enough for role $role (second tier: $l2), and harm nobody',
        async ({ role, l2 }) => {
          const where: Where = {
            urls: [server.url],
            topology: 'server',
            connect: (username) =>
              username === undefined
                ? server.url
                : {
                    host: '127.0.0.1',
                    port: server.port,
                    ...credentialsOf(username),
                  },
          };
          const done = work(
            where,
            { role, l2, version },
            async () => server.url,
          );
          expect(await done).toEqual(HARMLESS);
        },
      );
    },
  );
});

describeOnRedisServer('Each right', () => {
  it.each(['both', 'subscriber', 'publisher'] as const)(
    'of role %s is needed',
    async (role) => {
      const server = await startServer({ real: true });
      const redis = connectRaw(server.url);
      const channel = uniqueChannel();
      const needs = {
        role,
        channel,
        sharded: false,
        topology: 'server',
      } as const;
      const [{ rules }] = aclUsers(needs) as [AclUser];
      const granted = rules.filter((rule) => /^[+%~&]/.test(rule));
      const superfluous: string[] = [];
      for (const [index, right] of granted.entries()) {
        await redis.acl('LOG', 'RESET');
        const others = rules.filter((rule) => rule !== right);
        await redis.acl('SETUSER', `app${index}`, 'on', 'nopass', ...others);
        const app = await startApp({
          connection: server.url.replace('//', `//app${index}:any@`),
          channel,
          role,
          quiet: true,
          startupTimeout: 300,
          shutdownTimeout: 1,
        }).catch(() => null);
        await app?.close();
        const denied = (await redis.acl('LOG')) as unknown[];
        if (app !== null && denied.length === 0) superfluous.push(right);
      }
      expect(superfluous).toEqual([]);
    },
    30_000,
  );
});

describeOnRedisServer('Least rights in a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startCluster();
  }, 40_000);
  afterAll(() => cluster.stop());

  it.each([
    ...ROLES_AND_TIERS.map((each) => ({ ...each, sharded: true })),
    { role: 'both', l2: false, sharded: false } as const,
    { role: 'subscriber', l2: false, sharded: false } as const,
    { role: 'publisher', l2: false, sharded: false } as const,
  ])(
    'are enough for role $role (sharded: $sharded, second tier: $l2)',
    async ({ role, l2, sharded }) => {
      const where: Where = {
        urls: cluster.servers.map(({ url }) => url),
        topology: 'cluster',
        connect: (username) => ({
          cluster: {
            nodes: cluster.nodes,
            options: {
              redisOptions:
                username === undefined ? {} : credentialsOf(username),
            },
          },
        }),
      };
      const done = work(
        where,
        { role, l2, sharded },
        async (key) => (await cluster.ownerOf(key)).url,
      );
      expect(await done).toEqual(HARMLESS);
    },
    30_000,
  );
});

describeOnRedisServer('Least rights with Sentinel', () => {
  it.each(['both', 'subscriber', 'publisher'] as const)(
    'are enough for role %s, in a failover too',
    async (role) => {
      const topology = await startSentinel();
      onTestFinished(topology.stop);
      const { sentinels, name, master, replica } = topology;
      const sentinel = new Redis(sentinels[0]!);
      onTestFinished(() => sentinel.disconnect());
      const [, ofSentinel] = aclUsers({
        role,
        channel: 'any',
        sharded: false,
        topology: 'sentinel',
      });
      await sentinel.acl(
        'SETUSER',
        'app',
        'on',
        `>${RestrictedUsers.PASSWORD}`,
        ...ofSentinel!.rules,
      );
      const where: Where = {
        urls: [master.url, replica.url],
        topology: 'sentinel',
        connect: (username) => ({
          sentinels,
          name,
          ...(username !== undefined && {
            ...credentialsOf(username),
            sentinelUsername: 'app',
            sentinelPassword: RestrictedUsers.PASSWORD,
          }),
        }),
      };
      const deployment = await deploy(where, { role });
      await converse(deployment, 'before');
      await sentinel.call('SENTINEL', 'FAILOVER', name);
      const promoted = new Redis(replica.url);
      onTestFinished(() => promoted.disconnect());
      await eventually(
        async () => expect(await promoted.role()).toContain('master'),
        { timeout: 20_000 },
      );
      await converse(deployment, 'after');
      await proven(deployment);
      expect(await deployment.users.denied()).toEqual([]);
      expect(await sentinel.acl('LOG')).toEqual([]);
    },
    60_000,
  );
});
