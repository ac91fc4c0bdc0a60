import { Module, type DynamicModule } from '@nestjs/common';
import {
  variableOf,
  type CacheInvalidationModuleOptions,
  type ScalarOption,
} from './cache-invalidation.module-options.js';
import type { CacheInvalidationOptions } from './cache-invalidation.options.js';
import { flagIn } from './common/index.js';
import { InvalidationConfigurationError } from './errors/index.js';
import { regionsFrom } from './regions/index.js';
import { signingFrom } from './signing/index.js';

type Scalar = string | number | boolean | undefined;

/** Readers of the environment variables. */
const READERS: Record<
  ScalarOption,
  (value: Scalar) => Scalar | CacheInvalidationOptions['journal']
> = {
  connection: text,
  channel: text,
  serviceName: text,
  role: text,
  enabled: flag,
  startupTimeout: whole,
  publishTimeout: whole,
  shutdownTimeout: whole,
  journal,
  sharded: flag,
  heartbeatInterval: whole,
  heartbeatTimeout: whole,
  maxStaleness: whole,
  whenStale: text,
  outboxLimit: whole,
  handlerQueueLimit: whole,
  queueByteLimit: whole,
  maxBatchSize: whole,
  maxMessageBytes: whole,
  coalesce: flag,
  describe: flag,
};

/** Injection token of the options from the environment. @internal */
export const ENVIRONMENT_OPTIONS = Symbol('ENVIRONMENT_OPTIONS');

/**
 * Provides the options from the environment by way of `@nestjs/config`, for
 * `forRootAsync()` without arguments. Only such an application loads that
 * package. An unreadable value is passed on as it is, so that the check names it.
 *
 * @internal
 */
@Module({})
export class EnvironmentOptionsModule {
  /** Never rejects: Nest reports an error of a provider, at the start. */
  static async load(): Promise<DynamicModule> {
    const token = { provide: ENVIRONMENT_OPTIONS };
    const definition = {
      module: EnvironmentOptionsModule,
      exports: [ENVIRONMENT_OPTIONS],
    };
    try {
      const { ConfigModule, ConfigService } = await import('@nestjs/config');
      const useFactory = (config: { get: Read }) =>
        optionsFrom((variable) => config.get(variable));
      return {
        ...definition,
        imports: [ConfigModule],
        providers: [{ ...token, inject: [ConfigService], useFactory }],
      };
    } catch (cause) {
      const useFactory = () => {
        throw loadingFailed(cause);
      };
      return { ...definition, providers: [{ ...token, useFactory }] };
    }
  }
}

/**
 * Options from the process's own environment, for those that `forRoot()` or a
 * factory leaves out.
 *
 * @internal
 */
export function processOptions(): CacheInvalidationModuleOptions {
  return optionsFrom((variable) => process.env[variable]);
}

type Read = (variable: string) => Scalar;

function optionsFrom(read: Read): CacheInvalidationModuleOptions {
  const entries = Object.entries(READERS).map(([option, reader]) => [
    option,
    reader(read(variableOf(option))),
  ]);
  const signing = signingFrom(
    read(`${variableOf('signing')}_KEYS`),
    read(`${variableOf('signing')}_ACCEPT`),
  );
  const regions = regionsFrom(
    read('CACHE_INVALIDATION_REGION'),
    read('CACHE_INVALIDATION_SOURCES'),
  );
  return {
    ...Object.fromEntries(entries),
    signing,
    regions,
  } as CacheInvalidationModuleOptions;
}

function loadingFailed(cause: unknown): Error {
  const { code } = cause as { code?: unknown };
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') {
    return cause as Error;
  }
  return new InvalidationConfigurationError(
    'forRootAsync() without arguments reads the environment through @nestjs/config, which is not installed.',
    [],
    'Install it (npm install @nestjs/config), or pass options to forRoot() or forRootAsync().',
  );
}

// An empty variable is an absent one.
function text(value: Scalar): Scalar {
  return value === '' ? undefined : value;
}

function whole(value: Scalar): Scalar {
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  return trimmed === ''
    ? undefined
    : /^\d+$/.test(trimmed)
      ? Number(trimmed)
      : value;
}

function flag(value: Scalar): Scalar {
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  return trimmed === '' ? undefined : (flagIn(trimmed) ?? value);
}

/** A number of messages, or one of the words for "no". */
function journal(value: Scalar): Scalar | CacheInvalidationOptions['journal'] {
  const maxLength = whole(value);
  if (typeof maxLength === 'number') return { maxLength };
  const wanted = flag(value);
  // "on" is the default.
  return wanted === true ? undefined : wanted;
}
