import { Injectable } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import {
  variableOf,
  type CacheInvalidationModuleOptions,
  type CacheInvalidationOptions,
  type CacheInvalidationOptionsFactory,
  type ScalarOption,
} from './cache-invalidation.options.js';

type Scalar = string | number | boolean | undefined;

/** How each option is read. */
const READERS: Record<
  ScalarOption,
  (value: Scalar) => Scalar | CacheInvalidationOptions['journal']
> = {
  connection: text,
  channel: text,
  serviceName: text,
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
  describe: flag,
};

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
    const entries = Object.entries(READERS).map(([option, read]) => [
      option,
      read(this.config.get<Scalar>(variableOf(option))),
    ]);
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

/** A number of messages, or one of the words for "no". */
function journal(value: Scalar): Scalar | CacheInvalidationOptions['journal'] {
  const maxLength = whole(value);
  if (typeof maxLength === 'number') return { maxLength };
  const wanted = flag(value);
  // "on" is the default.
  return wanted === true ? undefined : wanted;
}
