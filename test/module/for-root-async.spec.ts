import {
  Injectable,
  Module,
  type DynamicModule,
  type INestApplicationContext,
  type Type,
} from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import {
  CacheInvalidationModule,
  InvalidationConfigurationError,
  InvalidationPublisher,
  InvalidationSubscriber,
  type CacheInvalidationModuleOptions,
  type CacheInvalidationOptionsFactory,
} from 'nestjs-cache-invalidation';
import {
  InMemoryBroker,
  InvalidationRecorder,
} from 'nestjs-cache-invalidation/testing';
import {
  afterEach,
  beforeEach,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
  vi,
} from 'vitest';
import { CACHE_INVALIDATION_OPTIONS } from '../../lib/cache-invalidation.constants.js';
import { OBJECT_OPTIONS } from '../../lib/cache-invalidation.module-options.js';
import { uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';

interface Started {
  readonly app: INestApplicationContext;
  /** Options as resolved by the module, defaults included. */
  readonly options: Record<string, unknown>;
  /** Publishes one message, and returns its service name. */
  speaker(): Promise<string | undefined>;
}

/** Starts an application without Redis. */
async function start(
  ...imports: (DynamicModule | Promise<DynamicModule> | Type)[]
): Promise<Started> {
  const broker = new InMemoryBroker();
  const recorder = new InvalidationRecorder(broker);
  const module = await broker
    .install(Test.createTestingModule({ imports }))
    .setLogger(false as never)
    .compile();
  const app = await module.init();
  onTestFinished(() => app.close());
  return {
    app,
    options: app.get(CACHE_INVALIDATION_OPTIONS, { strict: false }),
    speaker: async () => {
      await app.get(InvalidationPublisher, { strict: false }).invalidateUser(1);
      return recorder.published.at(-1)?.sourceService;
    },
  };
}

async function refusalOf(
  ...imports: Parameters<typeof start>
): Promise<InvalidationConfigurationError> {
  const error: unknown = await start(...imports).catch(
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InvalidationConfigurationError);
  return error as InvalidationConfigurationError;
}

@Injectable()
class Settings {
  readonly name = 'from-settings';
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

@Injectable()
class SettingsOptions implements CacheInvalidationOptionsFactory {
  static made = 0;

  constructor(private readonly settings: Settings) {
    SettingsOptions.made++;
  }

  async createCacheInvalidationOptions(): Promise<CacheInvalidationModuleOptions> {
    return { serviceName: this.settings.name };
  }
}

@Module({
  imports: [SettingsModule],
  providers: [SettingsOptions],
  exports: [SettingsOptions],
})
class OptionsModule {}

describe('forRootAsync(): options', () => {
  it('come from a factory with injected providers', async () => {
    const { speaker } = await start(
      CacheInvalidationModule.forRootAsync({
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: async ({ name }: Settings) => ({ serviceName: name }),
      }),
    );
    expect(await speaker()).toBe('from-settings');
  });

  it('come from a factory with the ConfigService', async () => {
    vi.stubEnv('MY_SERVICE', 'from-config');
    onTestFinished(() => void vi.unstubAllEnvs());
    const { speaker } = await start(
      CacheInvalidationModule.forRootAsync({
        imports: [ConfigModule.forRoot({ ignoreEnvFile: true })],
        inject: [ConfigService],
        useFactory: (config: ConfigService) => ({
          serviceName: config.getOrThrow<string>('MY_SERVICE'),
        }),
      }),
    );
    expect(await speaker()).toBe('from-config');
  });

  it('come from a class (useClass)', async () => {
    const before = SettingsOptions.made;
    const { speaker } = await start(
      CacheInvalidationModule.forRootAsync({
        imports: [SettingsModule],
        useClass: SettingsOptions,
      }),
    );
    expect(await speaker()).toBe('from-settings');
    expect(SettingsOptions.made).toBe(before + 1);
  });

  it('come from an existing provider (useExisting)', async () => {
    const before = SettingsOptions.made;
    const { speaker } = await start(
      OptionsModule,
      CacheInvalidationModule.forRootAsync({
        imports: [OptionsModule],
        useExisting: SettingsOptions,
      }),
    );
    expect(await speaker()).toBe('from-settings');
    expect(SettingsOptions.made).toBe(before + 1);
  });

  it('are checked whatever their source', async () => {
    const { problems } = await refusalOf(
      CacheInvalidationModule.forRootAsync({
        useFactory: () => ({ serviceName: '', outboxLimit: 0 }),
      }),
    );
    expect(problems.map(({ field }) => field)).toEqual([
      'serviceName',
      'outboxLimit',
    ]);
  });

  it.each([undefined, null])(
    'are reported as missing when a factory returns %s',
    async (nothing) => {
      const useFactory = () =>
        nothing as unknown as CacheInvalidationModuleOptions;
      const { problems } = await refusalOf(
        CacheInvalidationModule.forRootAsync({ useFactory }),
      );
      expect(problems).toMatchObject([
        { field: 'serviceName', problem: 'it is missing.' },
      ]);
    },
  );

  it('are awaited, and rejects with the error of the factory', async () => {
    const useFactory = () => Promise.reject(new Error('no vault'));
    const starting = start(
      CacheInvalidationModule.forRootAsync({ useFactory }),
    );
    await expect(starting).rejects.toThrow('no vault');
  });
});

describe('option isGlobal', () => {
  @Injectable()
  class Cache {
    constructor(readonly subscriber: InvalidationSubscriber) {}
  }

  const settings = { serviceName: 'user-service' };
  const useFactory = (): CacheInvalidationModuleOptions => settings;

  @Module({ providers: [Cache] })
  class FarModule {}

  it.each([
    ['forRoot', () => CacheInvalidationModule.forRoot(settings)],
    [
      'forRootAsync',
      () => CacheInvalidationModule.forRootAsync({ useFactory }),
    ],
  ])('%s exports to every module by default', async (_, make) => {
    const { app } = await start(make(), FarModule);
    const { subscriber } = app.get(Cache, { strict: false });
    expect(subscriber.status.state).toBe('live');
  });

  it.each([
    [
      'forRoot',
      () => CacheInvalidationModule.forRoot({ ...settings, isGlobal: false }),
    ],
    [
      'forRootAsync',
      () =>
        CacheInvalidationModule.forRootAsync({ useFactory, isGlobal: false }),
    ],
  ])(
    '%s with isGlobal: false exports only to modules that import it',
    async (_, make) => {
      const library = make();
      await expect(start(library, FarModule)).rejects.toThrow(
        /dependencies of the Cache .*InvalidationSubscriber/,
      );

      @Module({ imports: [library], providers: [Cache] })
      class NearModule {}
      const { app } = await start(NearModule);
      const { subscriber } = app.get(Cache, { strict: false });
      expect(subscriber.status.state).toBe('live');
    },
  );
});

describe('forRootAsync() without a factory', () => {
  it('accepts isGlobal: false', async () => {
    vi.stubEnv('CACHE_INVALIDATION_SERVICE_NAME', 'near');
    onTestFinished(() => void vi.unstubAllEnvs());
    const dynamic = CacheInvalidationModule.forRootAsync({ isGlobal: false });

    const { options } = await start(dynamic);

    expect(dynamic.global).toBe(false);
    expect(options).toMatchObject({ serviceName: 'near' });
  });

  const VARIABLES: [
    variable: string,
    option: string,
    text: string,
    value: unknown,
  ][] = [
    [
      'REDIS_URL',
      'connection',
      'rediss://:p@db:6380/1',
      'rediss://:p@db:6380/1',
    ],
    ['CACHE_INVALIDATION_CHANNEL', 'channel', 'my:channel', 'my:channel'],
    ['CACHE_INVALIDATION_SERVICE_NAME', 'serviceName', '42', '42'],
    ['CACHE_INVALIDATION_ROLE', 'role', 'subscriber', 'subscriber'],
    ['CACHE_INVALIDATION_ENABLED', 'enabled', 'Off', false],
    ['CACHE_INVALIDATION_STARTUP_TIMEOUT', 'startupTimeout', '11', 11],
    ['CACHE_INVALIDATION_PUBLISH_TIMEOUT', 'publishTimeout', ' 12 ', 12],
    ['CACHE_INVALIDATION_SHUTDOWN_TIMEOUT', 'shutdownTimeout', '13', 13],
    ['CACHE_INVALIDATION_OUTBOX_LIMIT', 'outboxLimit', '14', 14],
    ['CACHE_INVALIDATION_JOURNAL', 'journal', '20000', { maxLength: 20_000 }],
    ['CACHE_INVALIDATION_SHARDED', 'sharded', 'yes', true],
    ['CACHE_INVALIDATION_HEARTBEAT_INTERVAL', 'heartbeatInterval', '17', 17],
    ['CACHE_INVALIDATION_HEARTBEAT_TIMEOUT', 'heartbeatTimeout', '18', 18],
    ['CACHE_INVALIDATION_MAX_STALENESS', 'maxStaleness', '8001', 8_001],
    ['CACHE_INVALIDATION_WHEN_STALE', 'whenStale', 'widen', 'widen'],
    ['CACHE_INVALIDATION_HANDLER_QUEUE_LIMIT', 'handlerQueueLimit', '15', 15],
    ['CACHE_INVALIDATION_QUEUE_BYTE_LIMIT', 'queueByteLimit', '65536', 65_536],
    ['CACHE_INVALIDATION_MAX_BATCH_SIZE', 'maxBatchSize', '0016', 16],
    ['CACHE_INVALIDATION_MAX_MESSAGE_BYTES', 'maxMessageBytes', '8192', 8_192],
    ['CACHE_INVALIDATION_COALESCE', 'coalesce', 'true', true],
    ['CACHE_INVALIDATION_DESCRIBE', 'describe', 'on', true],
  ];
  const NAME = 'CACHE_INVALIDATION_SERVICE_NAME';

  beforeEach(() => {
    for (const [variable] of VARIABLES) vi.stubEnv(variable, undefined);
    vi.stubEnv(NAME, 'user-service');
  });
  afterEach(() => void vi.unstubAllEnvs());

  const fromEnvironment = (): DynamicModule =>
    CacheInvalidationModule.forRootAsync();

  it('has a variable for every option', async () => {
    const { options } = await start(fromEnvironment());
    expect(VARIABLES.map(([, option]) => option).toSorted()).toEqual(
      Object.keys(options)
        // Text of the environment cannot express a table or a function.
        .filter((option) => !OBJECT_OPTIONS.some((one) => one === option))
        .toSorted(),
    );
  });

  it.each(VARIABLES)('%s sets %s', async (variable, option, text, value) => {
    const { options: defaults } = await start(fromEnvironment());
    vi.stubEnv(variable, text);
    const { options } = await start(fromEnvironment());
    expect(options).toEqual({ ...defaults, [option]: value });
    expect(options[option]).not.toEqual(defaults[option]);
  });

  it.each(VARIABLES.filter(([variable]) => variable !== NAME))(
    'ignores an empty %s',
    async (variable) => {
      const { options: defaults } = await start(fromEnvironment());
      vi.stubEnv(variable, '');
      expect((await start(fromEnvironment())).options).toEqual(defaults);
    },
  );

  it('rejects a missing service name', async () => {
    vi.stubEnv(NAME, '');
    const { problems } = await refusalOf(fromEnvironment());
    expect(problems).toMatchObject([
      { field: 'serviceName', problem: 'it is missing.' },
    ]);
  });

  it.each([
    ['true', true],
    ['TRUE', true],
    ['1', true],
    ['yes', true],
    [' on ', true],
    ['false', false],
    ['0', false],
    ['no', false],
    ['oFF', false],
  ])('reads the flag %j as %s', async (text, value) => {
    vi.stubEnv('CACHE_INVALIDATION_ENABLED', text);
    expect((await start(fromEnvironment())).options).toMatchObject({
      enabled: value,
    });
  });

  it.each<[text: string, journal: unknown]>([
    ['off', false],
    ['OFF', false],
    [' no ', false],
    ['false', false],
    ['20000', { maxLength: 20_000 }],
    [' 7 ', { maxLength: 7 }],
    ['1', { maxLength: 1 }],
    ['on', { maxLength: 50_000 }],
    ['true', { maxLength: 50_000 }],
    ['Yes', { maxLength: 50_000 }],
    ['  ', { maxLength: 50_000 }],
  ])('reads the journal %j as %j', async (text, journal) => {
    vi.stubEnv('CACHE_INVALIDATION_JOURNAL', text);
    expect((await start(fromEnvironment())).options).toMatchObject({ journal });
  });

  it('checks maxStaleness against the heartbeat options', async () => {
    vi.stubEnv('CACHE_INVALIDATION_MAX_STALENESS', '300');
    const { problems } = await refusalOf(fromEnvironment());
    expect(problems).toMatchObject([{ field: 'maxStaleness' }]);

    vi.stubEnv('CACHE_INVALIDATION_HEARTBEAT_INTERVAL', '100');
    vi.stubEnv('CACHE_INVALIDATION_HEARTBEAT_TIMEOUT', '199');
    const { options } = await start(fromEnvironment());
    expect(options).toMatchObject({ maxStaleness: 300 });
  });

  it.each([
    ['CACHE_INVALIDATION_JOURNAL', '0', 'journal'],
    ['CACHE_INVALIDATION_JOURNAL', '-1', 'journal'],
    ['CACHE_INVALIDATION_JOURNAL', '1.5', 'journal'],
    ['CACHE_INVALIDATION_JOURNAL', 'maybe', 'journal'],
    ['CACHE_INVALIDATION_JOURNAL', '{"maxLength":5}', 'journal'],
    ['CACHE_INVALIDATION_SHARDED', 'maybe', 'sharded'],
    ['CACHE_INVALIDATION_HEARTBEAT_INTERVAL', '5 sec', 'heartbeatInterval'],
    ['CACHE_INVALIDATION_HEARTBEAT_INTERVAL', '0', 'heartbeatInterval'],
    ['CACHE_INVALIDATION_HEARTBEAT_TIMEOUT', '-3', 'heartbeatTimeout'],
    ['CACHE_INVALIDATION_MAX_STALENESS', '8000', 'maxStaleness'],
    ['CACHE_INVALIDATION_MAX_STALENESS', '1 minute', 'maxStaleness'],
    ['CACHE_INVALIDATION_WHEN_STALE', 'Widen', 'whenStale'],
    ['CACHE_INVALIDATION_ENABLED', 'maybe', 'enabled'],
    ['CACHE_INVALIDATION_ENABLED', '2', 'enabled'],
    ['CACHE_INVALIDATION_PUBLISH_TIMEOUT', '0.2ms', 'publishTimeout'],
    ['CACHE_INVALIDATION_PUBLISH_TIMEOUT', '0', 'publishTimeout'],
    ['CACHE_INVALIDATION_PUBLISH_TIMEOUT', '1.5', 'publishTimeout'],
    ['CACHE_INVALIDATION_OUTBOX_LIMIT', '-1', 'outboxLimit'],
    ['CACHE_INVALIDATION_OUTBOX_LIMIT', '1e3', 'outboxLimit'],
    ['CACHE_INVALIDATION_OUTBOX_LIMIT', '0x10', 'outboxLimit'],
    ['CACHE_INVALIDATION_MAX_BATCH_SIZE', 'NaN', 'maxBatchSize'],
    ['REDIS_URL', 'redis:6379', 'connection'],
  ])('rejects %s=%s, and names the option', async (variable, text, field) => {
    vi.stubEnv(variable, text);
    const { problems, message } = await refusalOf(fromEnvironment());
    expect(problems).toMatchObject([{ field }]);
    expect(message).toContain(`- ${field}: `);
  });

  it('reports all problems at once, without a password', async () => {
    vi.stubEnv(NAME, '');
    vi.stubEnv('REDIS_URL', 'http://:hunter2@db');
    vi.stubEnv('CACHE_INVALIDATION_ENABLED', 'maybe');
    const error = await refusalOf(fromEnvironment());
    expect(error.problems.map(({ field }) => field).toSorted()).toEqual([
      'connection',
      'enabled',
      'serviceName',
    ]);
    expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('hunter2');
  });

  it('reads variables loaded by ConfigModule, typed or as text', async () => {
    vi.stubEnv(NAME, undefined);
    const load = [
      () => ({
        CACHE_INVALIDATION_SERVICE_NAME: 'loaded',
        CACHE_INVALIDATION_CHANNEL: 'loaded:channel',
        CACHE_INVALIDATION_ENABLED: false,
        CACHE_INVALIDATION_OUTBOX_LIMIT: 7,
        CACHE_INVALIDATION_MAX_BATCH_SIZE: '8',
        CACHE_INVALIDATION_JOURNAL: false,
        CACHE_INVALIDATION_HEARTBEAT_INTERVAL: 9,
      }),
    ];
    const config = { ignoreEnvFile: true, load };
    const { options } = await start(
      ConfigModule.forRoot({ ...config, isGlobal: true }),
      fromEnvironment(),
    );
    expect(options).toMatchObject({
      serviceName: 'loaded',
      channel: 'loaded:channel',
      enabled: false,
      outboxLimit: 7,
      maxBatchSize: 8,
      journal: false,
      heartbeatInterval: 9,
    });
    vi.stubEnv(NAME, undefined);
    const local = await start(ConfigModule.forRoot(config), fromEnvironment());
    expect(local.options).toMatchObject({ serviceName: 'loaded' });
  });

  it.each<[given: unknown, journal: unknown]>([
    [true, { maxLength: 50_000 }],
    [12, { maxLength: 12 }],
    [{ maxLength: 13 }, { maxLength: 13 }],
  ])('reads a journal loaded by ConfigModule: %j', async (given, journal) => {
    const load = [() => ({ CACHE_INVALIDATION_JOURNAL: given })];
    const { options } = await start(
      ConfigModule.forRoot({ ignoreEnvFile: true, load, isGlobal: true }),
      fromEnvironment(),
    );
    expect(options).toMatchObject({ journal });
  });

  it('connects to the Redis of the environment', async () => {
    vi.stubEnv('REDIS_URL', inject('redisUrl'));
    vi.stubEnv('CACHE_INVALIDATION_CHANNEL', uniqueChannel());
    const module = await Test.createTestingModule({
      imports: [fromEnvironment()],
    })
      .setLogger(false as never)
      .compile();
    const app = await module.init();
    onTestFinished(() => app.close());
    await eventually(async () =>
      expect(
        await app.get(InvalidationPublisher).invalidateUser(1),
      ).toMatchObject({ status: 'delivered', receivers: 1 }),
    );
    expect(app.get(InvalidationSubscriber).status.state).toBe('live');
  });
});
