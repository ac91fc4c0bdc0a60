import { Option, type Command } from 'commander';
import type { Io } from './io.js';

/** One of the things that the program does. @internal */
export interface CliCommand<V> {
  /** Usage, options and notes; the name and the connection are there already. */
  readonly define: (command: Command) => void;
  /** @returns the exit code */
  readonly run: (
    values: V & ConnectionValues,
    words: readonly string[],
    io: Io,
  ) => Promise<number>;
}

/** Options that say where Redis is, for every command. @internal */
export interface ConnectionValues {
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
    new Option('--cluster', 'it is a node of a Redis Cluster'),
    new Option(
      '--sentinel <host:port,…>',
      'ask these Sentinels for the master; user, password and TLS of --url',
    ),
    new Option(
      '--name <name>',
      'what the Sentinels call the master (mymaster)',
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
    new Option('--json', 'JSON in place of text'),
  ].map((option) => option.helpGroup('Connection:'));

/** For an option that may be given several times. @internal */
export function collected(
  value: string,
  before: readonly string[] = [],
): readonly string[] {
  return [...before, value];
}
