import { Logger } from '@nestjs/common';
import { describe, expect, it, vi } from 'vitest';
import { ConsumerList } from '../../lib/stream/consumer-list.js';
import { ErrorReporter, InvalidationConsumer } from '../../lib/stream/index.js';
import { makeStream } from './setup.js';

const LIMIT = 10_000;

function makeList() {
  const errors = new ErrorReporter();
  const context = {
    meter: makeStream().meter,
    errors,
    tracing: null,
    queueLimit: { messages: 1, bytes: 1 },
    types: null,
  };
  const consumer = (name: string): InvalidationConsumer =>
    new InvalidationConsumer(
      name,
      () => {},
      () => true,
      undefined,
      context,
    );
  return { list: new ConsumerList(errors), consumer };
}

describe('ConsumerList', () => {
  it('refuses more than ten thousand, by the name of the last one', () => {
    const { list, consumer } = makeList();
    const one = consumer('Users.on');
    list.all = Array.from({ length: LIMIT - 1 }, () => one);
    list.addLast(one);
    expect(list.all).toHaveLength(LIMIT);
    const refusal =
      /^There are too many subscribers.*subscribers: there are 10000 already, the last of which is "Users\.on"\. .*once, in a singleton, or end each of them\.$/s;
    expect(() => list.addLast(one)).toThrow(refusal);
    expect(() => list.addFirst(one)).toThrow(refusal);
    expect(list.all).toHaveLength(LIMIT);
  });

  it('logs each name of which there are many', () => {
    const warn = vi.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const { list, consumer } = makeList();
    for (const name of ['Users.on', 'Posts.on']) {
      const one = consumer(name);
      for (let n = 0; n < 250; n++) list.addLast(one);
    }
    expect(warn.mock.calls.map(([line]) => String(line).split(' ')[0])).toEqual(
      ['Users.on', 'Posts.on'],
    );
  });
});
