import { Option, type Command } from 'commander';
import type { Io } from './io.js';

/** A command of the program. @internal */
export interface CliCommand<V> {
  /** Adds usage, options and notes; the program adds the name and the options of the connection. */
  readonly define: (command: Command) => void;
  /** Options of its connection, in place of those of Redis. */
  readonly connection?: () => Option[];
  /** @returns the exit code */
  readonly run: (
    values: V & ConnectionValues,
    words: readonly string[],
    io: Io,
  ) => Promise<number>;
}

/** Options of TLS: paths of PEM files, and a name. @internal */
export interface TlsValues {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

/** Options of the connection. @internal */
export interface ConnectionValues extends TlsValues {
  readonly url?: string;
  readonly cluster?: boolean;
  readonly sentinel?: string;
  readonly name?: string;
  readonly channel?: string;
  readonly sharded?: boolean;
  readonly timeout?: string;
  readonly json?: boolean;
}

/** @internal */
export const connectionOptions = (): Option[] =>
  [
    new Option(
      '--url <url>',
      'redis:// or rediss:// ($REDIS_URL, else redis://localhost:6379)',
    ),
    new Option('--cluster', 'the URL names a node of a Redis Cluster'),
    new Option(
      '--sentinel <host:port,…>',
      'ask these Sentinels for the master; user, password and TLS as in --url',
    ),
    new Option(
      '--name <name>',
      'name of the master in the Sentinels (mymaster)',
    ),
    new Option(
      '--ca <file>',
      'trust this authority alone, a PEM file ($CACHE_INVALIDATION_TLS_CA)',
    ),
    new Option(
      '--cert <file>',
      'certificate of this client, a PEM file ($CACHE_INVALIDATION_TLS_CERT)',
    ),
    new Option(
      '--key <file>',
      'key of --cert, a PEM file ($CACHE_INVALIDATION_TLS_KEY)',
    ),
    new Option(
      '--server-name <name>',
      'name to ask for and to verify ($CACHE_INVALIDATION_TLS_SERVER_NAME)',
    ),
    new Option(
      '--channel <channel>',
      'channel ($CACHE_INVALIDATION_CHANNEL, else cache:invalidate)',
    ),
    new Option('--sharded', 'sharded Pub/Sub ($CACHE_INVALIDATION_SHARDED)'),
    new Option(
      '--timeout <time>',
      'how long Redis may take to connect, and to answer (5s)',
    ),
    new Option('--json', 'print JSON in place of text'),
  ].map((option) => option.helpGroup('Connection:'));

/** For an option that may be given several times. @internal */
export function collected(
  value: string,
  before: readonly string[] = [],
): readonly string[] {
  return [...before, value];
}
