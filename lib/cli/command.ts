import type { Io } from './io.js';

/** One option: what `parseArgs` needs, and what the help says. @internal */
export interface CliOption {
  readonly type: 'string' | 'boolean';
  readonly multiple?: true;
  /** What stands for its value in the help. */
  readonly value?: string;
  readonly about: string;
}

/** @internal */
export type CliOptions = Readonly<Record<string, CliOption>>;

/** @internal */
export type CliValues<O extends CliOptions> = {
  readonly [K in keyof O]?: O[K] extends { multiple: true }
    ? readonly string[]
    : O[K]['type'] extends 'string'
      ? string
      : boolean;
};

/** What was asked for, on a command line that could be read. @internal */
export interface CliCall<O extends CliOptions> {
  readonly values: CliValues<O & typeof CONNECTION_OPTIONS>;
  readonly words: readonly string[];
}

/** One of the things that the program does. @internal */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- whatever its own options are, none but itself reads them
export interface Command<O extends CliOptions = Record<never, never>> {
  /** What may follow the command's name. */
  readonly usage: readonly string[];
  readonly options: O;
  /** Whether words may follow that are no options. */
  readonly takesWords?: true;
  /** The rest of the help: what the options do not say. */
  readonly notes: string;
  /** @returns the exit code */
  run(call: CliCall<O>, io: Io): Promise<number>;
}

/** Infers the options' names, which their values are read by. @internal */
export function defineCommand<const O extends CliOptions>(
  command: Command<O>,
): Command<O> {
  return command;
}

/** Where Redis is, for every command. @internal */
export const CONNECTION_OPTIONS = {
  url: {
    type: 'string',
    value: 'URL',
    about: 'redis:// or rediss:// ($REDIS_URL, else redis://localhost:6379)',
  },
  cluster: { type: 'boolean', about: 'it is a node of a Redis Cluster' },
  sentinel: {
    type: 'string',
    value: 'HOST:PORT,…',
    about:
      'ask these Sentinels for the master; user, password and TLS of --url',
  },
  name: {
    type: 'string',
    value: 'NAME',
    about: 'what the Sentinels call the master (mymaster)',
  },
  channel: {
    type: 'string',
    value: 'CHANNEL',
    about: 'channel ($CACHE_INVALIDATION_CHANNEL, else cache:invalidate)',
  },
  sharded: {
    type: 'boolean',
    about: 'sharded Pub/Sub ($CACHE_INVALIDATION_SHARDED)',
  },
  timeout: {
    type: 'string',
    value: 'TIME',
    about: 'how long Redis may take to connect, and to answer (5s)',
  },
  json: { type: 'boolean', about: 'JSON in place of text' },
  help: { type: 'boolean', about: 'this text' },
} as const satisfies CliOptions;
