import {
  CacheInvalidationError,
  CacheStaleError,
  CacheBusyError,
  CallbackFailedError,
  InvalidationConfigurationError,
  InvalidationRedisError,
  InvalidationSerializationError,
  InvalidationTimeoutError,
  InvalidMessageError,
  JournalAheadError,
} from 'nestjs-cache-invalidation';
import * as lib from 'nestjs-cache-invalidation';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { describeCause, printableStack } from '../../lib/errors/index.js';
import { withoutCommand } from '../../lib/transport/index.js';

const CAUSE = new Error('the cause');

/** Foreign text that would add log lines and colours. */
const HOSTILE = 'a\r\nERROR forged\u001b[31m\u009b2J\u202e';
const SHOWN = 'a\\u000d\\u000aERROR forged\\u001b[31m\\u009b2J\\u202e';

const STALE_ADVICE =
  "Refuse the request, or read from the source; reads succeed again once Redis and all sources answer. With whenStale: 'bypass' they load instead.";

const examples: readonly {
  error: CacheInvalidationError;
  name: string;
  code: string;
  message: string;
  advice: string;
  cause?: unknown;
  fields?: object;
}[] = [
  {
    error: new CallbackFailedError(
      'Cache.refresh',
      'failed on a message',
      'It goes on.',
      CAUSE,
    ),
    name: 'CallbackFailedError',
    code: 'CACHE_INVALIDATION_HANDLER_FAILED',
    message: 'Cache.refresh failed on a message: the cause. It goes on.',
    advice: 'It goes on.',
    cause: CAUSE,
    fields: { source: 'Cache.refresh' },
  },
  {
    error: new JournalAheadError('{news}:journal', CAUSE),
    name: 'JournalAheadError',
    code: 'CACHE_INVALIDATION_JOURNAL_AHEAD',
    message:
      'The journal {news}:journal ends more than a day ahead of the clock of Redis. Check that clock; if it is right, delete the journal (DEL): readers evict everything once, and invalidations are journaled again.',
    advice:
      'Check that clock; if it is right, delete the journal (DEL): readers evict everything once, and invalidations are journaled again.',
    cause: CAUSE,
    fields: { journal: '{news}:journal' },
  },
  {
    error: new InvalidationConfigurationError('It cannot start:', [
      { field: 'serviceName', problem: 'it is missing.', fix: 'Give a name.' },
      { field: 'channel', problem: '"" is not valid.', fix: 'Give a channel.' },
    ]),
    name: 'InvalidationConfigurationError',
    code: 'CACHE_INVALIDATION_CONFIGURATION',
    message:
      'It cannot start:\n  - serviceName: it is missing. Give a name.\n  - channel: "" is not valid. Give a channel.',
    advice: '',
    fields: {
      problems: [
        {
          field: 'serviceName',
          problem: 'it is missing.',
          fix: 'Give a name.',
        },
        {
          field: 'channel',
          problem: '"" is not valid.',
          fix: 'Give a channel.',
        },
      ],
    },
  },
  {
    error: new InvalidMessageError('No JSON.', 'Send JSON.', 'pattern', CAUSE),
    name: 'InvalidMessageError',
    code: 'CACHE_INVALIDATION_INVALID_MESSAGE',
    message: 'No JSON. Send JSON.',
    advice: 'Send JSON.',
    cause: CAUSE,
    fields: { field: 'pattern' },
  },
  {
    error: new InvalidationRedisError('It is away.', 'Trying again.', CAUSE),
    name: 'InvalidationRedisError',
    code: 'CACHE_INVALIDATION_REDIS',
    message: 'It is away. Trying again.',
    advice: 'Trying again.',
    cause: CAUSE,
  },
  {
    error: new InvalidationSerializationError('A cycle.', 'No cycles.', CAUSE),
    name: 'InvalidationSerializationError',
    code: 'CACHE_INVALIDATION_SERIALIZATION',
    message: 'A cycle. No cycles.',
    advice: 'No cycles.',
    cause: CAUSE,
  },
  {
    error: new InvalidationTimeoutError('No answer.', 'Wait.', 200),
    name: 'InvalidationTimeoutError',
    code: 'CACHE_INVALIDATION_TIMEOUT',
    message: 'No answer. Wait.',
    advice: 'Wait.',
    fields: { timeout: 200 },
  },
  {
    error: new CacheStaleError('Permission', 2_100.7, 2_000),
    name: 'CacheStaleError',
    code: 'CACHE_INVALIDATION_STALE',
    message: `For 2100 ms nothing has proved that this instance received every invalidation; Permission allows 2000 ms (option maxStaleness). ${STALE_ADVICE}`,
    advice: STALE_ADVICE,
    fields: { cache: 'Permission', staleness: 2_100.7, maxStaleness: 2_000 },
  },
  {
    error: new CacheBusyError('User', 4, 200),
    name: 'CacheBusyError',
    code: 'CACHE_INVALIDATION_CACHE_BUSY',
    message:
      'A load of the near cache User has waited 200 ms for one of 4 others to end. Give the loader a timeout, or raise load.concurrency if its source can take more.',
    advice:
      'Give the loader a timeout, or raise load.concurrency if its source can take more.',
    fields: { cache: 'User', maxWait: 200 },
  },
];

describe.each(examples)(
  '$name',
  ({ error, name, code, message, advice, cause, fields }) => {
    it('has a message and an advice', () => {
      expect(error.message).toBe(message);
      expect(error.advice).toBe(advice);
      expect(String(error)).toBe(`${name}: ${message}`);
    });

    it('is recognized by its class and a stable code', () => {
      expect(error).toBeInstanceOf(Error);
      expect(error).toBeInstanceOf(CacheInvalidationError);
      expect(error.name).toBe(name);
      expect(error.code).toBe(code);
    });

    it('keeps its cause and its fields', () => {
      expect(error.cause).toBe(cause);
      expect(Object.hasOwn(error, 'cause')).toBe(cause !== undefined);
      expect(error).toMatchObject(fields ?? {});
    });

    it('has a stack that starts at its origin', () => {
      expect(error.stack).toMatch(/errors\.spec\.ts/);
    });
  },
);

describe('Errors', () => {
  it('are exactly these classes, each with its own code', () => {
    const classes = Object.entries(lib)
      .filter(
        ([, value]) =>
          typeof value === 'function' &&
          value.prototype instanceof CacheInvalidationError,
      )
      .map(([name]) => name);

    expect(examples.map(({ name }) => name).toSorted()).toEqual(
      classes.toSorted(),
    );
    expect(new Set(examples.map(({ code }) => code)).size).toBe(
      examples.length,
    );
  });

  it('describe a cause that is not an Error', () => {
    const told = (cause: unknown) =>
      new CallbackFailedError('A.b', 'failed', '', cause).message;

    expect(told('text')).toBe('A.b failed: text.');
    expect(told(undefined)).toBe('A.b failed: undefined.');
    expect(told(null)).toBe('A.b failed: null.');
    expect(told(Symbol('s'))).toBe('A.b failed: Symbol(s).');
  });

  // The error is built in the path of the stream, which an exception here would
  // break.
  it('describe a cause that cannot be described', () => {
    const told = (cause: unknown) =>
      new CallbackFailedError('A.b', 'failed', '', cause).message;

    expect(told(Object.create(null))).toMatch(/^A\.b failed: /);
    expect(
      told({
        toString() {
          throw new Error('no');
        },
      }),
    ).toMatch(/^A\.b failed: /);
  });

  it('escape control characters in foreign text', () => {
    const error = new CallbackFailedError(
      'A.b',
      'failed',
      '',
      new Error(HOSTILE),
    );
    expect(error.message).toBe(`A.b failed: ${SHOWN}.`);
    expect(describeCause(new Error(HOSTILE))).toBe(SHOWN);
    const stack = printableStack(new TypeError(`${HOSTILE}\n    at forged`));
    const [first, ...places] = stack.split('\n');
    expect(first).toBe(`TypeError: ${SHOWN}\\u000a    at forged`);
    expect(places.length).toBeGreaterThan(0);
    expect(places.join()).not.toContain('forged');
  });

  it.each([
    [
      "ERR unknown command 'publish', with args beginning with: 'news' '{\"id\":\"SECRET\"}' ",
      "ERR unknown command 'publish'",
    ],
    [
      'ERR unknown command `EVALSHA`, with args beginning with: `SECRET`,\n`x`, ',
      'ERR unknown command `EVALSHA`',
    ],
    [
      "ERR unknown subcommand 'x', with args beginning with: SECRET",
      "ERR unknown subcommand 'x'",
    ],
  ])('do not repeat arguments of Redis commands: %s', (text, shown) => {
    expect(describeCause(new Error(text))).toBe(shown);
    const cluster = Object.assign(new Error('All failed.'), {
      lastNodeError: new Error(text),
    });
    expect(describeCause(cluster)).toBe(`All failed (${shown})`);
    const told = new CallbackFailedError('A.b', 'failed', '', new Error(text));
    expect(told.message).toBe(`A.b failed: ${shown}.`);
    const error = withoutCommand(
      Object.assign(new Error(text), { command: { args: ['SECRET'] } }),
    );
    expect(inspect(error, { depth: 9 })).not.toContain('SECRET');
  });

  it('truncate long foreign text', () => {
    expect(describeCause(new Error('x'.repeat(10_000)))).toHaveLength(501);
  });
});
