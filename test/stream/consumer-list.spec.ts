import { describe, expect, it } from 'vitest';
import { ConsumerList } from '../../lib/stream/consumer-list.js';
import { ErrorReporter, InvalidationConsumer } from '../../lib/stream/index.js';
import { makeStream } from './setup.js';

const LIMIT = 10_000;

describe('A list of consumers', () => {
  it('refuses more than ten thousand, by the name of the last one', () => {
    const { meter } = makeStream();
    const errors = new ErrorReporter();
    const consumer = new InvalidationConsumer(
      'Users.on',
      () => {},
      () => true,
      undefined,
      {
        meter,
        errors,
        tracing: null,
        queueLimit: { messages: 1, bytes: 1 },
        types: null,
      },
    );
    const list = new ConsumerList(errors);
    list.all = Array.from({ length: LIMIT - 1 }, () => consumer);
    list.addLast(consumer);
    expect(list.all).toHaveLength(LIMIT);
    const refusal = expect.objectContaining({
      problems: [
        {
          field: 'subscribers',
          problem: expect.stringMatching(
            /10000 already.*"Users\.on"/,
          ) as string,
          fix: expect.stringMatching(/once, in a singleton/) as string,
        },
      ],
      message: expect.stringMatching(
        /^There are too many subscribers/,
      ) as string,
    }) as Error;
    expect(() => list.addLast(consumer)).toThrow(refusal);
    expect(() => list.addFirst(consumer)).toThrow(refusal);
    expect(list.all).toHaveLength(LIMIT);
  });
});
