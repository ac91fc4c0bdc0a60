import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Injectable, Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cluster, Redis } from 'ioredis';
import {
  CacheInvalidationModule,
  InjectInvalidationStream,
  InvalidatesCache,
  InvalidatesCachePattern,
  InvalidationConfigurationError,
  InvalidationPublisher,
  InvalidationSubscriber,
  OnInvalidation,
  type CacheInvalidationModuleOptions,
  type InvalidationMessage,
  type PublishReceipt,
} from 'nestjs-cache-invalidation';
import { lastValueFrom, of, type Observable } from 'rxjs';
import { sharesJournal } from '../../lib/transport/index.js';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { resolveOptions } from '../../lib/cache-invalidation.module-options.js';
import { CacheInvalidationOptions } from '../../lib/cache-invalidation.options.js';
import { said, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';

function start(
  imports: DynamicModule[],
): ReturnType<typeof NestFactory.createApplicationContext> {
  @Module({ imports })
  class AppModule {}
  return NestFactory.createApplicationContext(AppModule, {
    logger: false,
    abortOnError: false,
  });
}

/** Error with which the start of an application with these options fails. */
async function refusalOf(
  options: object,
): Promise<InvalidationConfigurationError> {
  const given: CacheInvalidationModuleOptions = {
    serviceName: 'user-service',
    ...options,
  };
  const starting = start([CacheInvalidationModule.forRoot(given)]);
  const error: unknown = await starting.then(
    (app) => app.close(),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InvalidationConfigurationError);
  return error as InvalidationConfigurationError;
}

function resolved(options: object): CacheInvalidationOptions {
  return resolveOptions({ serviceName: 'user-service', ...options });
}

/** The receipt of a message that Redis handed to one application. */
async function delivery(
  publisher: InvalidationPublisher,
): Promise<PublishReceipt> {
  // The subscription is live first; the connection for commands may follow a
  // moment later.
  return eventually(async () => {
    const receipt = await publisher.invalidateUser(1);
    if (receipt.receivers === 1) return receipt;
    throw new Error(`The receipt is ${JSON.stringify(receipt)}.`);
  });
}

const MILLISECONDS = 'Give a whole number of milliseconds, from 1 to';
const JOURNAL = /Give \{ maxLength \} with a whole number.*or false/;
const STALENESS = /Give 0, or .* above heartbeatInterval \+ heartbeatTimeout/;
const TABLE = /an object with pending\(\) and remove\(\)/;
const RULES = /a function for each entity type, such as .*\]? \}\.$/;
const CONNECTION = /redis: or rediss: URL.*cluster/;

describe('Invalid options', () => {
  it.each<[field: string, value: unknown, problem: string, fix: RegExp]>([
    ['serviceName', undefined, 'it is missing.', /name of this service/],
    ['serviceName', '', '"" is not valid.', /name of this service/],
    ['serviceName', 7, '7 is not valid.', /name of this service/],
    ['channel', '', '"" is not valid.', /channel name/],
    ['channel', ' ', '" " is not valid.', /channel name/],
    ['startupTimeout', '99999999d', '"99999999d" is not valid.', /"10s"/],
    ['channel', '{a}', '"{a}" is not valid.', /without the braces/],
    ['channel', '{a}{b}', '"{a}{b}" is not valid.', /without the braces/],
    ['channel', ['a'], 'an array is not valid.', /channel name/],
    ['channel', null, 'null is not valid.', /channel name/],
    ['enabled', 'true', '"true" is not valid.', /true or false/],
    ['enabled', 1, '1 is not valid.', /true or false/],
    ['startupTimeout', 0, '0 is not valid.', RegExp(MILLISECONDS)],
    ['startupTimeout', 1.5, '1.5 is not valid.', RegExp(MILLISECONDS)],
    ['publishTimeout', '200', '"200" is not valid.', RegExp(MILLISECONDS)],
    ['publishTimeout', -1, '-1 is not valid.', RegExp(MILLISECONDS)],
    [
      'shutdownTimeout',
      Infinity,
      'Infinity is not valid.',
      RegExp(MILLISECONDS),
    ],
    ['shutdownTimeout', Number.NaN, 'NaN is not valid.', RegExp(MILLISECONDS)],
    ['outboxLimit', 0, '0 is not valid.', /whole number, 1 or more/],
    ['handlerQueueLimit', {}, 'an object is not valid.', /whole number, 1 or/],
    ['queueByteLimit', 65_535, '65535 is not valid.', /whole number, 65536 or/],
    ['maxBatchSize', 10n, '10 is not valid.', /whole number, 1 or more/],
    ['maxMessageBytes', 4_095, '4095 is not valid.', /whole number, 4096 or/],
    ['journal', true, 'true is not valid.', JOURNAL],
    ['journal', null, 'null is not valid.', JOURNAL],
    ['journal', 50_000, '50000 is not valid.', JOURNAL],
    ['journal', 'off', '"off" is not valid.', JOURNAL],
    ['journal', {}, 'an object is not valid.', JOURNAL],
    ['journal', [], 'an array is not valid.', JOURNAL],
    ['journal', { maxLength: 0 }, 'an object is not valid.', JOURNAL],
    ['journal', { maxLength: 1.5 }, 'an object is not valid.', JOURNAL],
    ['journal', { maxLength: '9' }, 'an object is not valid.', JOURNAL],
    ['journal', { maxLength: 2 ** 53 }, 'an object is not valid.', JOURNAL],
    ['journal', { maxlength: 9 }, 'an object is not valid.', JOURNAL],
    ['journal', { maxLength: 9, ttl: 1 }, 'an object is not valid.', JOURNAL],
    ['sharded', 'yes', '"yes" is not valid.', /true or false/],
    ['sharded', null, 'null is not valid.', /true or false/],
    ['heartbeatInterval', 0, '0 is not valid.', RegExp(MILLISECONDS)],
    [
      'heartbeatInterval',
      '5 sec',
      '"5 sec" is not valid.',
      RegExp(MILLISECONDS),
    ],
    ['heartbeatTimeout', -1, '-1 is not valid.', RegExp(MILLISECONDS)],
    ['heartbeatTimeout', 2 ** 31, '2147483648 is not', RegExp(MILLISECONDS)],
    ['maxStaleness', 1, '1 is not valid.', STALENESS],
    ['maxStaleness', 8_000, '8000 is not valid.', STALENESS],
    ['maxStaleness', 8_000.5, '8000.5 is not valid.', STALENESS],
    ['maxStaleness', -1, '-1 is not valid.', STALENESS],
    ['maxStaleness', Infinity, 'Infinity is not valid.', STALENESS],
    ['maxStaleness', 2 ** 31, '2147483648 is not valid.', STALENESS],
    ['maxStaleness', '9000', '"9000" is not valid.', STALENESS],
    ['maxStaleness', null, 'null is not valid.', STALENESS],
    ['whenStale', 'Widen', '"Widen" is not valid.', /"serve" or "widen"/],
    ['whenStale', true, 'true is not valid.', /"serve" or "widen"/],
    ['durableOutbox', null, 'null is not valid.', TABLE],
    ['durableOutbox', 'table', '"table" is not valid.', TABLE],
    ['durableOutbox', {}, 'an object is not valid.', TABLE],
    [
      'durableOutbox',
      { pending: () => Promise.resolve([]) },
      'an object is not valid.',
      TABLE,
    ],
    [
      'durableOutbox',
      { pending: 1, remove: () => Promise.resolve() },
      'an object is not valid.',
      TABLE,
    ],
    ['cascade', null, 'null is not valid.', RULES],
    ['cascade', [], 'an array is not valid.', RULES],
    ['cascade', () => [], 'is not valid.', RULES],
    ['cascade', { User: 'feed:*' }, 'an object is not valid.', RULES],
    ['cascade', { User: undefined }, 'an object is not valid.', RULES],
    ['cascade', { '': () => [] }, 'an object is not valid.', RULES],
    ['cascade', { 'a:b': () => [] }, 'an object is not valid.', RULES],
    ['cascade', { '\ud800': () => [] }, 'an object is not valid.', RULES],
    // The rule would apply to "User", whose keys begin the same.
    ['cascade', { user: () => [] }, 'an object is not valid.', RULES],
    ['connection', '', 'it is no way to reach Redis.', CONNECTION],
    ['connection', 'localhost', 'it is no way to reach Redis.', CONNECTION],
    ['connection', 'http://a', 'it is no way to reach Redis.', CONNECTION],
    ['connection', 'redis://a:b:c', 'it is no way to reach Redis.', CONNECTION],
    ['connection', null, 'it is no way to reach Redis.', CONNECTION],
    ['connection', 6379, 'it is no way to reach Redis.', CONNECTION],
    ['connection', [], 'it is no way to reach Redis.', CONNECTION],
    ['connection', { cluster: {} }, 'it is no way to reach Redis.', CONNECTION],
    [
      'connection',
      { cluster: { nodes: [] } },
      'it is no way to reach Redis.',
      CONNECTION,
    ],
    [
      'connection',
      { cluster: null },
      'it is no way to reach Redis.',
      CONNECTION,
    ],
  ])('are reported: %s = %s', async (field, value, problem, fix) => {
    const { problems, message } = await refusalOf({ [field]: value });
    expect(problems).toEqual([
      {
        field,
        problem: expect.stringContaining(problem),
        fix: expect.stringMatching(fix),
      },
    ]);
    expect(message).toContain(
      `${field}: ${problems[0]!.problem} ${problems[0]!.fix}`,
    );
  });

  it.each<[field: string, value: unknown]>([
    ['regions', 'eu'],
    ['regions', []],
    ['regions.local', {}],
    ['regions.local', { local: 'e u', sources: {} }],
    ['regions.sources', { local: 'eu' }],
    ['regions.sources', { local: 'eu', sources: ['us'] }],
    [
      'regions.sources',
      { local: 'eu', sources: { 'redis://:hunter2@us': {} } },
    ],
    ['regions.sources.eu', { local: 'eu', sources: { eu: {} } }],
    [
      'regions.sources.us',
      { local: 'eu', sources: { us: 'redis://:hunter2@us' } },
    ],
    ['regions.remote', { local: 'eu', sources: {}, remote: 'us' }],
    ...[
      ['connection', ':hunter2@us'],
      ['connection', null],
      ['channel', ' '],
      ['delay', 0],
      ['delay', '2 sec'],
      ['delay', 2 ** 31],
      ['held', true],
      ['url', 'redis://:hunter2@us'],
      ['toString', undefined],
    ].map(([field, value]): [string, unknown] => [
      `regions.sources.us.${field}`,
      {
        local: 'eu',
        sources: { ap: {}, us: { [String(field)]: value }, sa: { no: 1 } },
      },
    ]),
  ])('name the wrong field of regions: %s in %j', async (field, regions) => {
    const { problems, message } = await refusalOf({ regions });
    expect(problems).toEqual([
      {
        field,
        problem: 'it is not valid.',
        fix: expect.stringContaining('sources: { us: { connection } }'),
      },
    ]);
    expect(message).toContain(`- ${field}: it is not valid. Give {`);
    expect(message).not.toContain('hunter2');
  });

  it('name the regions where they lack a journal', async () => {
    const regions = { local: 'eu', sources: { us: {} } };
    const { problems } = await refusalOf({ regions, journal: false });
    expect(problems).toEqual([
      {
        field: 'regions',
        problem: 'they need the journal.',
        fix: expect.stringContaining('Leave the journal on'),
      },
    ]);
  });

  // Node's timers fire at once for a delay beyond 32 bits.
  it.each([
    'startupTimeout',
    'publishTimeout',
    'shutdownTimeout',
    'heartbeatInterval',
    'heartbeatTimeout',
  ])('are reported when they exceed the longest timer: %s', async (field) => {
    const { problems } = await refusalOf({ [field]: 2 ** 31 });
    expect(problems).toMatchObject([{ field }]);
  });

  it('are all reported, each on its own line', async () => {
    const error = await refusalOf({
      connection: 'redis//typo',
      serviceName: '',
      enabled: 'no',
      outboxLimit: -5,
      retries: 3,
    });
    const fields = error.problems.map(({ field }) => field);
    expect(fields.toSorted()).toEqual([
      'connection',
      'enabled',
      'outboxLimit',
      'retries',
      'serviceName',
    ]);
    const lines = error.message.split('\n  - ');
    expect(lines[0]).toBe(
      'CacheInvalidationModule cannot start with these options:',
    );
    expect(lines.slice(1).map((line) => line.split(':')[0])).toEqual(fields);
    expect(error.code).toBe('CACHE_INVALIDATION_CONFIGURATION');
  });

  it('are reported when unknown, with a list of the options', async () => {
    const { problems } = await refusalOf({ redisUrl: 'redis://:hunter2@db' });
    expect(problems).toEqual([
      {
        field: 'redisUrl',
        problem: 'there is no such option.',
        fix: `The options are ${Object.keys(new CacheInvalidationOptions()).join(', ')}.`,
      },
    ]);
    for (const name of ['connection', 'channel', 'serviceName', 'enabled']) {
      expect(problems[0]!.fix).toContain(name);
    }
  });

  it.each([
    'redis://user:hunter2@[bad',
    'http://:hunter2@redis:6379',
    'redis:/:hunter2@redis:6379',
    {
      cluster: {
        nodes: [],
        options: { redisOptions: { password: 'hunter2' } },
      },
    },
    [{ host: 'redis', password: 'hunter2' }],
  ])('are reported without the password: %j', async (connection) => {
    const error = await refusalOf({ connection, serviceName: 1 });
    const told = [error.stack, JSON.stringify(error), String(error.cause)];
    expect(error.problems).toHaveLength(2);
    expect(told.join()).not.toContain('hunter2');
  });
});

// This message replaces any message that is too large, so it must fit.
it.each(['x', '\u0001', '"', '日', '🎉'])(
  'option maxMessageBytes: the minimum fits "everything" of a service named %j',
  async (sign) => {
    const serviceName = sign.repeat(256 / sign.length);
    const { publisher } = await startApp({
      serviceName,
      maxMessageBytes: 4_096,
    });
    const receipt = await publisher.invalidateAll();
    expect(receipt.messageId).toBeTypeOf('string');
  },
);

describe('option connection', () => {
  const PROBLEM = {
    field: 'connection',
    problem: 'it is no way to reach Redis.',
    fix: expect.stringMatching(CONNECTION),
  };

  // ioredis would look for each of them on 127.0.0.1:6379.
  it.each<[string, unknown]>([
    ['empty options', {}],
    ['a URL in an object', { url: 'redis://db:6379' }],
    ['a URL that was parsed', new URL('redis://db:6379')],
    ['a Map', new Map([['host', 'db']])],
    ['a date', new Date()],
    ['a function', () => 'redis://db:6379'],
    ['a misspelt option', { hots: 'db' }],
    ['other options only', { password: 'hunter2', db: 0 }],
    ['a host that is not set', { host: undefined }],
    ['an empty host', { host: '' }],
    ['a host that is not a string', { host: { name: 'db' }, port: 6379 }],
    ['a port that is not a number', { host: 'db', port: 'redis' }],
    ['a port above 65535', { port: 65_536 }],
    ['a port of NaN', { port: Number.NaN }],
    ['no sentinels', { sentinels: [], name: 'mymaster' }],
    ['sentinels without a name', { sentinels: [{ host: 'a', port: 1 }] }],
    ['a node that is null', { cluster: { nodes: [null] } }],
    ['a node with a bad URL', { cluster: { nodes: ['redis://u:pa%ss@db'] } }],
    [
      'a client of node-redis',
      {
        duplicate: () => ({}),
        multi: () => ({}),
        connect: () => Promise.resolve(),
        options: { url: 'redis://db:6379' },
      },
    ],
    ['a URL with a bad escape in its password', 'redis://u:hunter2%ss@db'],
    ['a URL with a bad escape in its user', 'redis://hunter2%ss:u@db'],
  ])('rejects %s', async (_, connection) => {
    const error = await refusalOf({ connection });

    expect(error.problems).toEqual([PROBLEM]);
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('hunter2');
  });

  class Configuration {
    readonly host = 'db';
  }

  it.each<[string, unknown]>([
    ['a URL', 'redis://user:pa%25ss@db:6379/0'],
    ['a host', { host: 'db' }],
    ['a port', { port: 6_379 }],
    ['a port of the environment', { host: 'db', port: '6379' }],
    ['a host, and a port that is not set', { host: 'db', port: undefined }],
    ['a host, and a path that is not set', { host: 'db', path: null }],
    ['a socket', { path: '/tmp/redis.sock' }],
    ['an object of a class', new Configuration()],
    [
      'sentinels',
      { sentinels: [{ host: 'a', port: 26_379 }], name: 'mymaster' },
    ],
    ['a connector', { Connector: class {} }],
    [
      'nodes of a cluster',
      {
        cluster: { nodes: [{ host: 'a', port: 7_000 }, 'redis://b:1', 7_001] },
      },
    ],
    ['a client', new Redis({ lazyConnect: true })],
    ['a client of a cluster', new Cluster(['a'], { lazyConnect: true })],
  ])('accepts %s', (_, connection) => {
    expect(resolved({ connection }).connection).toBe(connection);
  });
});

describe('option maxStaleness', () => {
  const HEARTBEAT = { heartbeatInterval: 100, heartbeatTimeout: 2_000 };

  it.each([0, 2_101, 2 ** 31 - 1])('accepts %i', async (maxStaleness) => {
    const { subscriber } = await startApp({ ...HEARTBEAT, maxStaleness });
    expect(subscriber.status.state).toBe('live');
  });

  it.each([1, 2_000, 2_100])(
    'rejects a bound shorter than a heartbeat: %i',
    async (maxStaleness) => {
      const { problems } = await refusalOf({ ...HEARTBEAT, maxStaleness });
      expect(problems).toMatchObject([{ field: 'maxStaleness' }]);
      expect(problems[0]!.fix).toContain('CACHE_INVALIDATION_MAX_STALENESS');
    },
  );
});

describe('option channel with sharded Pub/Sub', () => {
  const FIX = /without braces, or with one hash tag such as "\{app\}:invalid/;

  it.each(['cache:invalidate', '{app}:invalidate', 'app:{x}', 'a{b}c', '日本'])(
    'accepts %s',
    (channel) => {
      expect(resolved({ sharded: true, channel })).toMatchObject({
        sharded: true,
        channel,
      });
    },
  );

  const WRONG = [
    '{',
    '}',
    '{}',
    'a{b',
    'a}b',
    '{}{a}',
    '{a}{b}',
    '{a}}',
    '{{a}',
  ];

  it.each(WRONG)(
    'rejects a channel whose journal may be in another slot: %s',
    async (channel) => {
      const { problems } = await refusalOf({ sharded: true, channel });
      expect(problems).toContainEqual({
        field: 'sharded',
        problem: 'true is not valid.',
        fix: expect.stringMatching(FIX) as string,
      });
    },
  );

  const alone = WRONG.filter((channel) => !sharesJournal(channel));

  it.each(alone)('accepts any channel without sharded: %s', (channel) => {
    expect(resolved({ channel })).toMatchObject({ channel, sharded: false });
  });
});

it('option durableOutbox accepts any object with both methods, inherited ones too', () => {
  class Table {
    pending(): Promise<string[]> {
      return Promise.resolve([]);
    }
    remove(): Promise<void> {
      return Promise.resolve();
    }
  }
  const durableOutbox = new (class extends Table {})();
  expect(resolved({ durableOutbox }).durableOutbox).toBe(durableOutbox);
  expect(resolved({}).durableOutbox).toBeUndefined();
  expect(resolved({ durableOutbox: undefined }).durableOutbox).toBeUndefined();
});

it('option cascade accepts functions by entity type, or none', () => {
  const cascade = { User: () => [], session: () => [], 'x y': () => [] };
  expect(resolved({ cascade }).cascade).toBe(cascade);
  expect(resolved({ cascade: {} }).cascade).toEqual({});
  expect(resolved({}).cascade).toBeUndefined();
});

it.each<[object, object]>([
  [{}, { journal: { maxLength: 50_000 } }],
  [{ journal: false }, { journal: false }],
  [{ journal: { maxLength: 1 } }, { journal: { maxLength: 1 } }],
  [{}, { maxStaleness: 0, whenStale: 'serve', sharded: false }],
  [{}, { heartbeatInterval: 5_000, heartbeatTimeout: 3_000 }],
])('options %j resolve to %j', (given, options) => {
  expect(resolved(given)).toMatchObject(options);
});

it('an undefined option has its default', async () => {
  const app = await startApp({ publishTimeout: undefined, enabled: undefined });
  expect((await delivery(app.publisher)).status).toBe('delivered');
});

it.each<[string, (url: URL) => CacheInvalidationModuleOptions['connection']]>([
  ['a URL', (url) => url.href],
  [
    'ioredis options',
    ({ hostname, port }) => ({ host: hostname, port: +port }),
  ],
  [
    'a client',
    ({ href }) => {
      const client = new Redis(href);
      onTestFinished(() => client.disconnect());
      return client;
    },
  ],
])('publishes with the connection %s', async (_, connectionTo) => {
  const connection = connectionTo(new URL(inject('redisUrl')));
  const { publisher } = await startApp({ connection });
  expect((await delivery(publisher)).status).toBe('delivered');
});

/** A service with decorated methods, which counts the calls of its selectors. */
@Injectable()
class UsersService {
  static selected = 0;
  readonly heard: InvalidationMessage[] = [];

  constructor(
    @InjectInvalidationStream()
    readonly messages$: Observable<InvalidationMessage>,
  ) {}

  @InvalidatesCache('User', (id: string) => UsersService.count(id), {
    when: (id: string) => UsersService.count(id) !== '',
    metadata: (id: string) => UsersService.count(id),
  })
  @InvalidatesCachePattern((id: string) => `feed:${UsersService.count(id)}:*`)
  async update(id: string): Promise<string> {
    return `updated ${id}`;
  }

  @InvalidatesCache('User', (id: string) => UsersService.count(id))
  rename(id: string): string {
    return `renamed ${id}`;
  }

  @InvalidatesCache('User', (id: string) => UsersService.count(id))
  watch(id: string): Observable<string> {
    return of(`watched ${id}`);
  }

  @InvalidatesCache('User', (id: string) => UsersService.count(id))
  async fail(id: string): Promise<void> {
    throw new Error(`no ${id}`);
  }

  @OnInvalidation()
  hear(message: InvalidationMessage): void {
    this.heard.push(message);
  }

  private static count(id: string): string {
    UsersService.selected++;
    return id;
  }
}

async function callAll(users: UsersService): Promise<void> {
  expect(await users.update('1')).toBe('updated 1');
  expect(users.rename('1')).toBe('renamed 1');
  expect(await lastValueFrom(users.watch('1'))).toBe('watched 1');
  await expect(users.fail('1')).rejects.toThrow('no 1');
}

/** A server that answers nothing and counts its connections. */
async function startCounter(): Promise<{ url: string; count(): number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `redis://127.0.0.1:${port}`, count: () => connections };
}

describe('option enabled: false', () => {
  it('opens no connection', async () => {
    const counter = await startCounter();
    const off = await startApp({ connection: counter.url, enabled: false });
    await off.publisher.invalidateUser(1);
    await off.close();
    expect(counter.count()).toBe(0);

    await startApp({ connection: counter.url, startupTimeout: 50 });
    await eventually(() => expect(counter.count()).toBeGreaterThan(0));
  });

  it('runs decorated methods without calling selectors', async () => {
    UsersService.selected = 0;
    const off = await startApp({ enabled: false, providers: [UsersService] });
    const users = off.context.get(UsersService);
    await callAll(users);
    expect(UsersService.selected).toBe(0);
    expect(users.heard).toEqual([]);

    const on = await startApp({ providers: [UsersService] });
    await callAll(on.context.get(UsersService));
    // Each selector runs before the call and after it.
    expect(UsersService.selected).toBe(12);
    expect(on.context.get(UsersService).heard).toHaveLength(4);
  });

  it('returns disabled receipts, and delivers nothing', async () => {
    const { publisher, messages } = await startApp({ enabled: false });
    const receipts = await Promise.all([
      publisher.invalidate('User', 1),
      publisher.invalidateBatch(['user:1']),
      publisher.invalidatePattern('user:*'),
      publisher.invalidateAll(),
    ]);
    for (const receipt of receipts) {
      expect(receipt).toEqual({
        status: 'disabled',
        messageId: null,
        receivers: null,
        offset: null,
      });
    }
    expect(messages).toEqual([]);
    expect(publisher.pending).toBe(0);
  });

  it('status is stopped, with the reason', async () => {
    const { subscriber } = await startApp({ enabled: false });
    expect(subscriber.status).toMatchObject({
      state: 'stopped',
      reason: 'disabled',
    });
  });

  it('closes, and completes subscriptions', async () => {
    const app = await startApp({ enabled: false, providers: [UsersService] });
    const completed: string[] = [];
    const done = (name: string) => ({ complete: () => completed.push(name) });
    app.subscriber.messages$.subscribe(done('messages'));
    app.subscriber.status$.subscribe(done('status'));
    await app.close();
    expect(completed.toSorted()).toEqual(['messages', 'status']);
    expect(app.errors).toEqual([]);
  });

  it('does not touch a client of the application', async () => {
    const client = new Redis(inject('redisUrl'), { lazyConnect: true });
    onTestFinished(() => client.disconnect());
    const app = await startApp({ connection: client, enabled: false });
    expect(client.status).toBe('wait');
    await app.close();
    expect(client.status).toBe('wait');
    expect(await client.ping()).toBe('PONG');
  });
});

describe('Two applications in one process', () => {
  it('receive nothing of each other on different channels', async () => {
    const one = await startApp({
      serviceName: 'one',
      providers: [UsersService],
    });
    const two = await startApp({
      serviceName: 'two',
      providers: [UsersService],
    });

    await one.context.get(UsersService).update('1');
    await two.publisher.invalidatePost(2);
    // Last message on each channel: all earlier ones have arrived with it.
    const last = await Promise.all([
      startApp({ channel: one.channel, serviceName: 'last' }),
      startApp({ channel: two.channel, serviceName: 'last' }),
    ]);
    for (const { publisher } of last) await publisher.invalidateFeed('last');

    await eventually(() => {
      expect(one.messages.map(said)).toEqual([
        'User:1',
        'feed:1:*',
        'Feed:last',
      ]);
      expect(two.messages.map(said)).toEqual(['Post:2', 'Feed:last']);
    });
    expect(one.messages[0]!.sourceService).toBe('one');
    expect(two.messages[0]!.sourceService).toBe('two');
    expect(one.messages[0]!.origin).not.toBe(two.messages[0]!.origin);
  });

  it('have their own options: one disabled, one enabled', async () => {
    const channel = uniqueChannel();
    const off = await startApp({ channel, enabled: false });
    const on = await startApp({ channel, maxBatchSize: 1 });
    await off.publisher.invalidateUser(1);
    await on.publisher.invalidateBatch(['user:2', 'user:3']);
    expect(on.messages.map(said)).toEqual(['user:2', 'user:3']);
    expect(off.messages).toEqual([]);
  });

  it('stay open when the other one closes', async () => {
    const channel = uniqueChannel();
    const one = await startApp({ channel });
    const two = await startApp({ channel });
    await one.close();
    expect(two.subscriber.status.state).toBe('live');
    expect((await delivery(two.publisher)).status).toBe('delivered');
  });
});

describe('The module imported twice', () => {
  const options = (channel: string): CacheInvalidationModuleOptions => ({
    connection: inject('redisUrl'),
    channel,
    serviceName: 'user-service',
  });

  it('with different options is rejected, with advice', async () => {
    const starting = start([
      CacheInvalidationModule.forRoot(options('test:a')),
      CacheInvalidationModule.forRoot(options('test:b')),
    ]);
    await expect(starting).rejects.toBeInstanceOf(
      InvalidationConfigurationError,
    );
    await expect(starting).rejects.toThrow(
      /set up 2 times .*once, in the root module/,
    );
  });

  it('by one forRoot() in two places is one module', async () => {
    const library = CacheInvalidationModule.forRoot(options(uniqueChannel()));
    @Module({ imports: [library] })
    class FeatureModule {}
    const app = await start([library, { module: FeatureModule }]);
    onTestFinished(() => app.close());
    expect((await delivery(app.get(InvalidationPublisher))).status).toBe(
      'delivered',
    );
    expect(app.get(InvalidationSubscriber).status.state).toBe('live');
  });
});
