import {
  CacheInvalidationError,
  HandlerFailedError,
  InvalidationConfigurationError,
  InvalidationRedisError,
  InvalidationSerializationError,
  InvalidationTimeoutError,
  InvalidMessageError,
} from 'nestjs-cache-invalidation';
import * as lib from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';

const CAUSE = new Error('the cause');

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
    error: new HandlerFailedError(
      'Cache.refresh',
      'failed on a message',
      'It goes on.',
      CAUSE,
    ),
    name: 'HandlerFailedError',
    code: 'CACHE_INVALIDATION_HANDLER_FAILED',
    message: 'Cache.refresh failed on a message: the cause. It goes on.',
    advice: 'It goes on.',
    cause: CAUSE,
    fields: { source: 'Cache.refresh' },
  },
  {
    error: new InvalidationConfigurationError('It cannot start:', [
      { field: 'serviceName', problem: 'it is missing.', fix: 'Give a name.' },
      { field: 'channel', problem: '"" will not do.', fix: 'Give a channel.' },
    ]),
    name: 'InvalidationConfigurationError',
    code: 'CACHE_INVALIDATION_CONFIGURATION',
    message:
      'It cannot start:\n  - serviceName: it is missing. Give a name.\n  - channel: "" will not do. Give a channel.',
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
          problem: '"" will not do.',
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
];

describe.each(examples)(
  '$name',
  ({ error, name, code, message, advice, cause, fields }) => {
    it('says what happened and what to do', () => {
      expect(error.message).toBe(message);
      expect(error.advice).toBe(advice);
      expect(String(error)).toBe(`${name}: ${message}`);
    });

    it('can be told by its class and by a stable code', () => {
      expect(error).toBeInstanceOf(Error);
      expect(error).toBeInstanceOf(CacheInvalidationError);
      expect(error.name).toBe(name);
      expect(error.code).toBe(code);
    });

    it('keeps its cause and what it is about', () => {
      expect(error.cause).toBe(cause);
      expect(Object.hasOwn(error, 'cause')).toBe(cause !== undefined);
      expect(error).toMatchObject(fields ?? {});
    });

    it('has a stack that begins where it was made', () => {
      expect(error.stack).toMatch(/errors\.spec\.ts/);
    });
  },
);

describe('The errors', () => {
  it('are all of these, each with a code of its own', () => {
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

  it('describe a cause that is no Error', () => {
    const told = (cause: unknown) =>
      new HandlerFailedError('A.b', 'failed', '', cause).message;

    expect(told('text')).toBe('A.b failed: text.');
    expect(told(undefined)).toBe('A.b failed: undefined.');
    expect(told(null)).toBe('A.b failed: null.');
    expect(told(Symbol('s'))).toBe('A.b failed: Symbol(s).');
  });

  // Whoever throws it must not break the stream: the error is made in its path.
  it('describe a cause that cannot be described', () => {
    const told = (cause: unknown) =>
      new HandlerFailedError('A.b', 'failed', '', cause).message;

    expect(told(Object.create(null))).toMatch(/^A\.b failed: /);
    expect(
      told({
        toString() {
          throw new Error('no');
        },
      }),
    ).toMatch(/^A\.b failed: /);
  });
});
