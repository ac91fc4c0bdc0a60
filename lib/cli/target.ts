import type { ConnectionOptions } from 'node:tls';
import type { RedisOptions } from 'ioredis';
import {
  isSigning,
  SIGNING_ADVICE,
  signingFrom,
  type SigningOptions,
} from '../signing/index.js';
import { sharesJournal, type RedisConnection } from '../transport/index.js';
import type { ConnectionValues } from './command.js';
import { parseDuration } from './duration.js';
import { tlsFrom } from './tls-settings.js';
import { UsageError } from './usage.error.js';
import { visible } from './visible.js';

const DEFAULT_URL = 'redis://localhost:6379';
const DEFAULT_CHANNEL = 'cache:invalidate';
const DEFAULT_TIMEOUT_MS = 5_000;
const SENTINEL_PORT = 26_379;

/** The server and the channel of a command. @internal */
export interface Target {
  readonly connection: RedisConnection;
  /** The address of the server, without a password. */
  readonly where: string;
  readonly channel: string;
  readonly sharded: boolean;
  /** Absent where nothing is signed. */
  readonly signing?: SigningOptions | undefined;
  /** In milliseconds. */
  readonly timeout: number;
}

/**
 * Reads the target from the command line and the environment.
 *
 * @throws UsageError that names the wrong option.
 * @internal
 */
export function targetFrom(
  values: ConnectionValues,
  env: NodeJS.ProcessEnv,
): Target {
  const text = values.url ?? (env['REDIS_URL'] || DEFAULT_URL);
  const url = parseUrl(text);
  const channel =
    values.channel ?? (env['CACHE_INVALIDATION_CHANNEL'] || DEFAULT_CHANNEL);
  if (channel.trim() === '') throw new UsageError('--channel is empty.');
  if (sharesJournal(channel)) {
    throw new UsageError(
      '--channel stands in braces, and no service is on such a channel.',
      'Give it without them: both names would have one journal.',
    );
  }
  return {
    ...connectionFrom(values, text, url, tlsFrom(values, env, url.protocol)),
    channel,
    sharded: values.sharded ?? isOn(env['CACHE_INVALIDATION_SHARDED']),
    signing: readSigning(env),
    timeout:
      values.timeout === undefined
        ? DEFAULT_TIMEOUT_MS
        : parseDuration('timeout', values.timeout),
  };
}

/** @throws UsageError without the keys */
function readSigning(env: NodeJS.ProcessEnv): SigningOptions | undefined {
  const signing = signingFrom(
    env['CACHE_INVALIDATION_SIGNING_KEYS'],
    env['CACHE_INVALIDATION_SIGNING_ACCEPT'],
  );
  if (signing === undefined || isSigning(signing)) {
    return signing as SigningOptions | undefined;
  }
  throw new UsageError(
    'CACHE_INVALIDATION_SIGNING_KEYS, or _ACCEPT, cannot be read.',
    SIGNING_ADVICE,
  );
}

function connectionFrom(
  { cluster, sentinel, name }: ConnectionValues,
  text: string,
  url: URL,
  tls: ConnectionOptions,
): Pick<Target, 'connection' | 'where'> {
  if (cluster && sentinel !== undefined) {
    throw new UsageError(
      '--cluster and --sentinel exclude each other.',
      'Give one of them.',
    );
  }
  if (name !== undefined && sentinel === undefined) {
    throw new UsageError('--name is for --sentinel.', 'Give both, or neither.');
  }
  const shown = visible(`${url.protocol}//${url.host}`);
  if (cluster) {
    const options = { redisOptions: credentialsOf(url, tls) };
    return {
      connection: { cluster: { nodes: [addressOf(url)], options } },
      where: `${shown} (cluster)`,
    };
  }
  if (sentinel === undefined) {
    const hasSettings = Object.keys(tls).length > 0;
    const options = { ...addressOf(url), ...credentialsOf(url, tls) };
    return { connection: hasSettings ? options : text, where: shown };
  }
  const master = name ?? 'mymaster';
  return {
    connection: {
      sentinels: sentinel.split(',').map(sentinelFrom),
      name: master,
      ...credentialsOf(url, tls),
    },
    where: visible(`${master}, by the Sentinels ${sentinel}`),
  };
}

/** @throws UsageError without the text, which may hold a password. */
function parseUrl(text: string): URL {
  try {
    const url = new URL(text);
    decodeURIComponent(url.username + url.password);
    if (/^rediss?:$/.test(url.protocol) && url.hostname !== '') return url;
  } catch {
    // Thrown below.
  }
  throw new UsageError(
    'The URL of Redis cannot be read.',
    'Give redis://host:port or rediss://user:password@host:port, with %25 for a % in the password.',
  );
}

function addressOf(url: URL): { host: string; port: number } {
  return { host: hostOf(url), port: Number(url.port || 6379) };
}

// Only a URL has brackets around an IPv6 address.
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

function credentialsOf(
  { protocol, username, password }: URL,
  tls: ConnectionOptions,
): RedisOptions {
  return {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls }),
  };
}

function sentinelFrom(text: string): { host: string; port: number } {
  try {
    const url = new URL(`redis://${text.trim()}`);
    return { host: hostOf(url), port: Number(url.port || SENTINEL_PORT) };
  } catch {
    throw new UsageError(
      '--sentinel is not a list of addresses.',
      'Give host:port, or several with commas between them.',
    );
  }
}

function isOn(text = ''): boolean {
  return ['true', '1', 'on', 'yes'].includes(text.trim().toLowerCase());
}
