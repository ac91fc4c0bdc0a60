import { Injectable } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import type {
  CacheInvalidationModuleOptions,
  CacheInvalidationOptions,
  CacheInvalidationOptionsFactory,
} from './cache-invalidation.options.js';

type Scalar = string | number | boolean | undefined;

/** The variable of each option, and how to read it. */
const VARIABLES = {
  connection: ['REDIS_URL', text],
  channel: ['CACHE_INVALIDATION_CHANNEL', text],
  serviceName: ['CACHE_INVALIDATION_SERVICE_NAME', text],
  enabled: ['CACHE_INVALIDATION_ENABLED', flag],
  startupTimeout: ['CACHE_INVALIDATION_STARTUP_TIMEOUT', whole],
  publishTimeout: ['CACHE_INVALIDATION_PUBLISH_TIMEOUT', whole],
  shutdownTimeout: ['CACHE_INVALIDATION_SHUTDOWN_TIMEOUT', whole],
  outboxLimit: ['CACHE_INVALIDATION_OUTBOX_LIMIT', whole],
  handlerQueueLimit: ['CACHE_INVALIDATION_HANDLER_QUEUE_LIMIT', whole],
  maxBatchSize: ['CACHE_INVALIDATION_MAX_BATCH_SIZE', whole],
  maxMessageBytes: ['CACHE_INVALIDATION_MAX_MESSAGE_BYTES', whole],
} satisfies Record<
  keyof CacheInvalidationOptions,
  [variable: string, read: (value: Scalar) => Scalar]
>;

/**
 * The options from the environment, by way of `@nestjs/config`: what
 * `forRootAsync()` without arguments uses. What cannot be read is passed on as
 * it is, so that the check names it.
 *
 * @internal
 */
@Injectable()
export class EnvironmentOptions implements CacheInvalidationOptionsFactory {
  constructor(private readonly config: ConfigService) {}

  createCacheInvalidationOptions(): CacheInvalidationModuleOptions {
    const entries = Object.entries(VARIABLES).map(
      ([option, [variable, read]]) => [
        option,
        read(this.config.get<Scalar>(variable)),
      ],
    );
    return Object.fromEntries(entries) as CacheInvalidationModuleOptions;
  }
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

const FLAGS = new Map([
  ['true', true],
  ['1', true],
  ['on', true],
  ['yes', true],
  ['false', false],
  ['0', false],
  ['off', false],
  ['no', false],
]);

function flag(value: Scalar): Scalar {
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  return trimmed === ''
    ? undefined
    : (FLAGS.get(trimmed.toLowerCase()) ?? value);
}
