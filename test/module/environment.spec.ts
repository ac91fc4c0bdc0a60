import { Test } from '@nestjs/testing';
import {
  CacheInvalidationModule,
  type CacheInvalidationModuleOptions,
} from 'nestjs-cache-invalidation';
import { InMemoryBroker } from 'nestjs-cache-invalidation/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CACHE_INVALIDATION_OPTIONS } from '../../lib/cache-invalidation.constants.js';
import { inMilliseconds } from '../../lib/common/index.js';
import { resolveNearCache } from '../../lib/cache/index.js';

type Given = CacheInvalidationModuleOptions;

/** Options that the module resolves from the given ones and the environment. */
async function resolved(
  module = CacheInvalidationModule.forRoot({ serviceName: 'users' }),
): Promise<Record<string, unknown>> {
  const testing = await new InMemoryBroker()
    .install(Test.createTestingModule({ imports: [module] }))
    .compile();
  return testing.get(CACHE_INVALIDATION_OPTIONS, { strict: false });
}

const forRoot = (options: Given) =>
  resolved(CacheInvalidationModule.forRoot(options));

describe('forRoot(): options from the environment', () => {
  beforeEach(() => {
    vi.stubEnv('REDIS_URL', 'redis://cache.internal:6380');
    vi.stubEnv('CACHE_INVALIDATION_SERVICE_NAME', 'from-environment');
    vi.stubEnv('CACHE_INVALIDATION_CHANNEL', 'app:invalidate');
    vi.stubEnv('CACHE_INVALIDATION_PUBLISH_TIMEOUT', '1.5s');
    vi.stubEnv('CACHE_INVALIDATION_JOURNAL', 'off');
    vi.stubEnv('CACHE_INVALIDATION_MAX_BATCH_SIZE', '');
  });
  afterEach(() => void vi.unstubAllEnvs());

  it('takes options that are not given from the environment', async () => {
    expect(
      await forRoot({ serviceName: 'users', channel: 'mine' }),
    ).toMatchObject({
      serviceName: 'users',
      channel: 'mine',
      connection: 'redis://cache.internal:6380',
      publishTimeout: 1_500,
      journal: false,
      maxBatchSize: 1_000,
    });
  });

  it('takes options that are undefined from the environment', async () => {
    expect(
      await forRoot({ serviceName: 'users', connection: undefined }),
    ).toMatchObject({ connection: 'redis://cache.internal:6380' });
  });

  it('takes serviceName or all options from the environment', async () => {
    expect(await forRoot({ startupTimeout: '10s' })).toMatchObject({
      serviceName: 'from-environment',
      startupTimeout: 10_000,
    });
    expect(await resolved(CacheInvalidationModule.forRoot())).toMatchObject({
      serviceName: 'from-environment',
      channel: 'app:invalidate',
    });
  });

  it('rejects at startup when serviceName is missing', async () => {
    vi.stubEnv('CACHE_INVALIDATION_SERVICE_NAME', undefined);

    const starting = resolved(CacheInvalidationModule.forRoot());

    await expect(starting).rejects.toThrow(/serviceName.*missing/);
  });

  it('takes options that a factory omits from the environment', async () => {
    const options = await resolved(
      CacheInvalidationModule.forRootAsync({
        useFactory: () => ({ journal: { maxLength: 7 } }),
      }),
    );
    expect(options).toMatchObject({
      serviceName: 'from-environment',
      journal: { maxLength: 7 },
      channel: 'app:invalidate',
    });
  });

  it('ignores an invalid variable whose option is given', async () => {
    vi.stubEnv('CACHE_INVALIDATION_PUBLISH_TIMEOUT', 'soon');
    expect(
      await forRoot({ serviceName: 'users', publishTimeout: '2s' }),
    ).toMatchObject({ publishTimeout: 2_000 });
    await expect(forRoot({ serviceName: 'users' })).rejects.toThrow(
      /publishTimeout: "soon".*CACHE_INVALIDATION_PUBLISH_TIMEOUT/s,
    );
  });
});

describe('Durations', () => {
  it.each<[unknown, unknown]>([
    ['500ms', 500],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['1d', 86_400_000],
    ['1.1m', 66_000],
    [' 10s ', 10_000],
    [250, 250],
    ['10', '10'],
    ['10 parsecs', '10 parsecs'],
    ['-1s', '-1s'],
    ['', ''],
    [undefined, undefined],
  ])('inMilliseconds(%j) is %j', (given, ms) => {
    expect(inMilliseconds(given)).toBe(ms);
  });

  it('are accepted as text by every time option of the module', async () => {
    const times = {
      startupTimeout: '1s',
      publishTimeout: '500ms',
      shutdownTimeout: '1.5s',
      heartbeatInterval: '2s',
      heartbeatTimeout: '1s',
      maxStaleness: '1m',
    } as const;
    expect(await forRoot({ serviceName: 'users', ...times })).toMatchObject({
      startupTimeout: 1_000,
      publishTimeout: 500,
      shutdownTimeout: 1_500,
      heartbeatInterval: 2_000,
      heartbeatTimeout: 1_000,
      maxStaleness: 60_000,
    });
  });

  it.each(['0s', '0.5ms', '30d', 'soon'])(
    'rejects %j, and names the option',
    async (heartbeatInterval) => {
      const options = { serviceName: 'users', heartbeatInterval } as Given;
      await expect(forRoot(options)).rejects.toThrow(
        /heartbeatInterval: .* is not valid\. .*"10s"/,
      );
    },
  );

  it('are accepted as text by the options of a near cache', () => {
    expect(
      resolveNearCache({
        ttl: '10m',
        negativeTtl: '5s',
        l2: { ttl: '1h', timeout: '100ms' },
      }),
    ).toMatchObject({
      ttl: 600_000,
      negativeTtl: 5_000,
      l2: { ttl: 3_600_000, timeout: 100 },
    });
    expect(() =>
      resolveNearCache({ ttl: 'soon' as never, l2: { ttl: '1y' as never } }),
    ).toThrow(/- ttl: .*"5m".*- l2\.ttl: /s);
  });
});
