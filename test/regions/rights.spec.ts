import { expect, it, describe } from 'vitest';
import type { InvalidationRole } from '../../lib/common/index.js';
import { InvalidationConfigurationError } from '../../lib/errors/index.js';
import {
  aclUsers,
  type AclNeeds,
  type AclVersion,
} from '../../lib/transport/index.js';
import {
  connectRaw,
  said,
  startApp,
  uniqueChannel,
  type AppOptions,
  type TestApp,
} from '../support/app.js';
import { startActiveActive } from '../support/active-active.js';
import { eventually } from '../support/eventually.js';
import type { RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { RestrictedUsers } from '../support/restricted-user.js';
import { Hand, patient } from '../subscriber/setup.js';
import { QUICK } from './regions.js';

const needs = {
  role: 'both',
  channel: 'a',
  sharded: false,
  topology: 'server',
} as const satisfies AclNeeds;

const VERSIONS: [AclVersion][] = [[[7, 0]], [[6, 2]]];

const as = ({ url }: RedisServer, name: string): string =>
  url.replace('//', `//${name}:${RestrictedUsers.PASSWORD}@`);

/** Two regions, each with a user of the least rights. */
class Link {
  readonly channel = uniqueChannel();
  readonly local: RestrictedUsers;
  readonly source: RestrictedUsers;

  private constructor(
    readonly eu: RedisServer,
    readonly us: RedisServer,
    role: InvalidationRole,
    version: AclVersion,
  ) {
    const common = { ...needs, channel: this.channel, version };
    this.local = new RestrictedUsers([eu.url], 'app', {
      ...common,
      role,
      regions: true,
    });
    this.source = new RestrictedUsers([us.url], 'relay', {
      ...common,
      role: 'subscriber',
    });
  }

  static async create(
    role: InvalidationRole,
    version: AclVersion = [7, 0],
  ): Promise<Link> {
    const [eu, us] = await Promise.all([
      startServer({ real: true }),
      startServer({ real: true }),
    ]);
    const link = new Link(eu, us, role, version);
    await link.local.create();
    await link.source.create();
    return link;
  }

  /** Starts an application in eu. */
  app(connection: string, options: AppOptions = {}): Promise<TestApp> {
    return startApp({
      ...QUICK,
      connection,
      channel: this.channel,
      regions: {
        local: 'eu',
        sources: { us: { connection: as(this.us, 'relay') } },
      },
      ...options,
    });
  }

  async denied(): Promise<unknown[]> {
    return [...(await this.local.denied()), ...(await this.source.denied())];
  }
}

const hears = (app: TestApp, ...expected: string[]): Promise<void> =>
  eventually(() => expect(app.messages.map(said)).toEqual(expected), patient);

const proven = async ({ subscriber }: TestApp): Promise<void> => {
  const since = performance.now();
  await eventually(
    () =>
      expect(subscriber.staleness()).toBeLessThan(performance.now() - since),
    patient,
  );
};

describe('aclUsers() with regions', () => {
  it('keeps what could harm the journal to the records of relays, from 7.0 on', () => {
    const [user] = aclUsers({ ...needs, regions: true });
    expect(user!.rules.slice(-4)).toEqual([
      '~{a}:journal',
      '&a',
      '~{a}:relay:*',
      '(+hmget +hset +get +set +del +pttl ~{a}:relay:*)',
    ]);
  });

  it('lets a subscriber read the age of proofs, and a publisher not even that', () => {
    const rulesOf = (role: InvalidationRole) =>
      aclUsers({ ...needs, role, regions: true })[0]!.rules;
    expect(rulesOf('subscriber').slice(-2)).toEqual([
      '+pttl',
      '%R~{a}:relay:*',
    ]);
    expect(rulesOf('publisher').join()).not.toContain('pttl');
  });
});

describeOnRedisServer('Least rights of a relay', () => {
  describe.each(VERSIONS)('on version %j', (version) => {
    it.each(['both', 'publisher'] as const)(
      'are enough for role %s: it forwards, and replays after a cut',
      async (role) => {
        const link = await Link.create(role, version);
        const reader = await link.app(link.eu.url, {
          regions: { local: 'eu', sources: { us: {} } },
        });
        const relay = await link.app(as(link.eu, 'app'), {
          role,
          quiet: role === 'publisher',
        });
        await hears(reader, '*');
        const hand = new Hand(link.us, link.channel);
        await hand.say('1');
        await hears(reader, '*', 'User:1');
        await hand.mumble('2');
        await link.source.disconnect('pubsub');
        await hears(reader, '*', 'User:1', 'User:2');
        await hand.say('3');
        await hears(reader, '*', 'User:1', 'User:2', 'User:3');
        await proven(reader);
        await relay.close();
        expect(await link.denied()).toEqual([]);
      },
    );

    it('are enough for a subscriber that watches one', async () => {
      const link = await Link.create('subscriber', version);
      await link.app(link.eu.url);
      const reader = await link.app(as(link.eu, 'app'), { role: 'subscriber' });
      await proven(reader);
      expect(await link.denied()).toEqual([]);
    });
  });

  it('are enough beside a second tier before version 7', async () => {
    const server = await startServer({ real: true });
    const [service] = aclUsers({
      ...needs,
      regions: true,
      l2: ['near:shop'],
      version: [6, 2],
    });
    const redis = connectRaw(server.url);
    await redis.acl('SETUSER', 'app', 'on', 'nopass', ...service!.rules);
    const mayRun = (...command: string[]): Promise<unknown> =>
      redis.call('ACL', 'DRYRUN', 'app', ...command);
    expect(await mayRun('SET', '{a}:relay:us', '')).toBe('OK');
    expect(await mayRun('SET', 'near:shop~foreign:a', '')).toBe('OK');
  });

  it('let nobody publish or write in the source, nor harm the own journal', async () => {
    const link = await Link.create('both');
    expect(await link.source.harmful()).toEqual([]);
    expect(await link.local.harmful()).toEqual([]);
    const source = connectRaw(as(link.us, 'relay'));
    for (const command of [
      ['PUBLISH', link.channel, ''],
      ['XADD', link.source.journal, '*', 'm', ''],
      ['DEL', link.source.journal],
      ['HSET', `{${link.channel}}:relay:us`, 'offset', '1-1'],
      ['EVAL', 'return 1', '1', link.source.journal],
    ]) {
      await expect(source.call(...(command as [string]))).rejects.toThrow(
        'NOPERM',
      );
    }
  });
});

describeOnRedisServer('The start with regions', () => {
  const COMMANDS = ['hmget', 'hset', 'get', 'set', 'del'];

  /** Names of the rights that the error at the start asks for. */
  async function missing(
    role: InvalidationRole,
    change: (rule: string) => string,
  ): Promise<string[]> {
    const server = await startServer({ real: true });
    const channel = uniqueChannel();
    const [user] = aclUsers({ ...needs, role, channel, regions: true });
    await connectRaw(server.url).acl(
      'SETUSER',
      'app',
      'on',
      'nopass',
      ...user!.rules.map(change).filter((rule) => rule !== ''),
    );
    const error = await startApp({
      ...QUICK,
      connection: server.url.replace('//', '//app:any@'),
      channel,
      role,
      quiet: true,
      shutdownTimeout: 1,
      regions: { local: 'eu', sources: { us: { connection: server.url } } },
    }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InvalidationConfigurationError);
    const { problems, message } = error as InvalidationConfigurationError;
    expect(message).toContain(`~{${channel}}:relay:*`);
    expect(message).toContain('doctor --acl --regions');
    return problems.map(({ field }) => field.replace(channel, 'a'));
  }

  it.each(
    (['both', 'publisher', 'subscriber'] as const).flatMap((role) =>
      [...COMMANDS, 'pttl']
        .filter((command) => (command === 'pttl') !== (role === 'publisher'))
        .filter((command) => role !== 'subscriber' || command === 'pttl')
        .map((command) => [role, command] as const),
    ),
  )('of role %s fails without %s, and names it', async (role, command) => {
    const without = new RegExp(`\\+${command} |^\\+${command}$`);
    expect(await missing(role, (rule) => rule.replace(without, ''))).toEqual([
      command.toUpperCase(),
    ]);
  });

  it.each(['both', 'publisher', 'subscriber'] as const)(
    'of role %s fails without the records, and names their key',
    async (role) => {
      expect(
        await missing(role, (rule) =>
          /^(?:%R)?~.*relay/.test(rule) ? '' : rule,
        ),
      ).toEqual(['{a}:relay:us']);
    },
  );
});

const textsOf = ({ errors }: TestApp, text: string): string[] =>
  errors.map(({ message }) => message).filter((each) => each.includes(text));

describeOnRedisServer('RegionRelay', () => {
  it('names the rights that its user lacks in the source, once', async () => {
    const link = await Link.create('both');
    await connectRaw(link.us.url).acl('SETUSER', 'relay', '-xrange');
    const app = await link.app(link.eu.url);
    const lacking = (): string[] => textsOf(app, 'its user lacks');
    await eventually(() => expect(lacking()).toHaveLength(1), patient);
    expect(lacking()[0]).toMatch(
      /^Region us is not relayed: its user lacks XRANGE\. Grant it .*doctor --acl --role subscriber/,
    );
    await connectRaw(link.us.url).acl('SETUSER', 'relay', '+xrange');
    await hears(app, '*');
    await link.source.disconnect();
    await proven(app);
    expect(lacking()).toHaveLength(1);
  });

  it('reports a database that merges the journals of several writers', async () => {
    const link = await Link.create('both');
    const url = await startActiveActive(link.us.port);
    const app = await link.app(await startActiveActive(link.eu.port), {
      regions: { local: 'eu', sources: { us: { connection: url } } },
    });
    const reported = (): string[] => textsOf(app, 'Active-Active').toSorted();
    await eventually(() => expect(reported()).toHaveLength(2), patient);
    const [eu, us] = reported();
    expect(eu).toContain('The Redis of region eu cannot hold its journal');
    expect(us).toContain('The Redis of region us cannot hold its journal');
    expect(us).toContain('no one order there, and no chain');
    expect(app.errors[0]).toBeInstanceOf(InvalidationConfigurationError);
  });
});
