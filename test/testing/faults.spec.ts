import { Injectable } from '@nestjs/common';
import {
  Cached,
  entity,
  InvalidatesCache,
  InvalidationConfigurationError,
  InvalidationPublisher,
  InvalidationSubscriber,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { InMemoryBroker, settled } from 'nestjs-cache-invalidation/testing';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { eventually } from '../support/eventually.js';
import { buildApp, startApp } from './fakes/start-app.js';

let row = 'first';

@Injectable()
class Users {
  readonly heard: InvalidationMessage[] = [];

  @InvalidatesCache('User', (id: string) => id)
  async save(_id: string, name: string): Promise<void> {
    row = name;
  }

  @Cached('User', (id: string) => id)
  async find(_id: string): Promise<string> {
    return row;
  }

  @OnInvalidation()
  hear(message: InvalidationMessage): void {
    this.heard.push(message);
  }
}

async function startPair(options = {}) {
  row = 'first';
  const broker = new InMemoryBroker();
  const description = { broker, providers: [Users], options };
  const { app: writer } = await startApp(description);
  const { app: reader, logs } = await startApp(description);
  expect(await reader.get(Users).find('1')).toBe('first');
  return {
    broker,
    writer,
    reader,
    logs,
    users: writer.get(Users),
    copies: reader.get(Users),
  };
}

const ids = ({ heard }: Users) => heard.map(({ entityId }) => entityId);
const stateOf = (app: { get(type: typeof InvalidationSubscriber): unknown }) =>
  (app.get(InvalidationSubscriber) as InvalidationSubscriber).status.state;

describe('InMemoryBroker.cut() and heal()', () => {
  it('keeps near caches while cut off, and evicts once healed', async () => {
    const { broker, writer, reader, users, copies } = await startPair();

    broker.cut(reader);
    await users.save('1', 'second');
    await settled(writer, reader);
    expect(stateOf(reader)).toBe('disconnected');
    expect(await copies.find('1')).toBe('first');

    broker.heal(reader);
    await settled(writer, reader);
    expect(stateOf(reader)).toBe('live');
    expect(await copies.find('1')).toBe('second');
    expect(copies.heard).toMatchObject([{ entityId: '1', widened: null }]);
  });

  it('replays messages of another service from the journal', async () => {
    const { broker, reader, copies } = await startPair();

    broker.cut(reader);
    broker.emit(entity('User', 7));
    broker.heal(reader);
    await settled(reader);

    expect(copies.heard).toMatchObject([{ entityId: '7', widened: null }]);
  });

  it('delivers "everything" when the journal was lost', async () => {
    const { broker, writer, reader, users, copies } = await startPair();
    await users.save('1', 'second');

    broker.cut(reader);
    await users.save('1', 'third');
    broker.loseJournal();
    broker.heal(reader);
    await settled(writer, reader);

    expect(copies.heard.at(-1)).toMatchObject({
      pattern: '*',
      widened: 'missed',
    });
  });

  it('queues messages in the outbox, and publishes them once healed', async () => {
    const { broker, writer, reader, users, copies } = await startPair();

    broker.cut(writer);
    await users.save('1', 'second');
    await settled(writer, reader);
    expect(broker.published).toEqual([]);
    expect(writer.get(InvalidationPublisher).outboxSize).toBe(1);

    broker.heal(writer);
    await eventually(() => expect(broker.published).toHaveLength(1));
    await settled(writer, reader);
    expect(ids(copies)).toEqual(['1']);
  });

  it('cuts off every application without an argument', async () => {
    const { broker, writer, reader } = await startPair();

    broker.cut();
    expect([writer, reader].map(stateOf)).toEqual([
      'disconnected',
      'disconnected',
    ]);
    broker.heal();
    await settled(writer, reader);
    expect([writer, reader].map(stateOf)).toEqual(['live', 'live']);
  });

  it('accepts an application before its start', async () => {
    const broker = new InMemoryBroker();
    const app = await buildApp({ broker, options: { startupTimeout: '10ms' } });
    onTestFinished(() => app.close());
    broker.cut(app);
    await app.init();
    expect(stateOf(app)).toBe('connecting');

    broker.heal(app);
    await settled(app);
    expect(stateOf(app)).toBe('live');
  });

  it('rejects an application on another broker', async () => {
    const { app } = await startApp();
    expect(() => new InMemoryBroker().cut(app)).toThrow(
      /not on this broker.*install/,
    );
  });
});

describe('InMemoryBroker.drop()', () => {
  it('loses a number of messages, which replay() delivers from the journal', async () => {
    const { broker, writer, reader, users, copies } = await startPair();

    broker.drop(1);
    await users.save('1', 'second');
    await settled(writer, reader);
    expect(await copies.find('1')).toBe('first');

    broker.replay();
    await settled(writer, reader);
    expect(await copies.find('1')).toBe('second');
    expect(ids(copies)).toEqual(['1']);
  });

  it('loses messages by a function; the next message replays them', async () => {
    const { broker, writer, reader, users, copies } = await startPair();

    broker.drop(({ entityId }) => entityId === '1');
    await users.save('1', 'second');
    await users.save('2', 'second');
    await settled(writer, reader);

    expect(ids(copies)).toEqual(['1', '2']);
    broker.drop(0);
    await users.save('1', 'third');
    expect(ids(copies)).toEqual(['1', '2', '1']);
  });
});

describe('InMemoryBroker: invalid arguments', () => {
  const broker = new InMemoryBroker();
  const any = (value: unknown): never => value as never;

  it.each<[string, () => void, RegExp]>([
    ['drop(NaN)', () => broker.drop(NaN), /NaN is not a number.*whole number/],
    ['drop(-1)', () => broker.drop(-1), /-1 is not a number/],
    ['drop()', () => broker.drop(any(undefined)), /undefined is not a number/],
    ['delay(1e12)', () => broker.delay(1e12), /not a delay.*24 days/],
    ['cut({})', () => broker.cut(any({})), /not an application.*compile/],
    ['heal(null)', () => broker.heal(any(null)), /not an application/],
    ['emitRaw()', () => broker.emitRaw(any(undefined)), /Give a text/],
  ])('rejects %s, and names valid ones', (_, call, why) => {
    expect(call).toThrow(InvalidationConfigurationError);
    expect(call).toThrow(why);
  });
});

describe('InMemoryBroker.drop() with a function that throws', () => {
  const fail = (): never => {
    throw new Error('slip of the test');
  };

  it('delivers the message, and throws from emit()', async () => {
    const { broker, reader, copies } = await startPair();
    broker.drop(fail);

    expect(() => broker.emit(entity('User', 7))).toThrow('slip of the test');

    await settled(reader);
    expect(ids(copies)).toEqual(['7']);
  });

  it("delivers an application's message, and logs the error", async () => {
    const { broker, logs, reader, users, writer, copies } = await startPair();
    broker.drop(fail);

    await users.save('1', 'second');
    await settled(writer, reader);

    expect(ids(copies)).toEqual(['1']);
    expect(logs.of('error')).toEqual([
      expect.stringMatching(/drop\(\).*slip of the test/),
    ]);
  });
});

describe('InMemoryBroker.delay()', () => {
  it('delivers later, in order', async () => {
    const { broker, writer, reader, users, copies } = await startPair();

    broker.delay('20ms');
    await users.save('1', 'second');
    await users.save('2', 'second');
    await settled(writer, reader);
    expect(ids(copies)).toEqual([]);

    await eventually(() => expect(ids(copies)).toEqual(['1', '2']));
    broker.delay(0);
    await users.save('3', 'second');
    expect(ids(copies)).toEqual(['1', '2', '3']);
  });

  it('rejects an invalid duration', () => {
    expect(() => new InMemoryBroker().delay('soon' as never)).toThrow(
      /not a delay/,
    );
  });
});

describe('InMemoryBroker with fake timers', () => {
  afterEach(() => void vi.useRealTimers());

  it.each([
    ['of Vitest', undefined],
    [
      'that take all but process.nextTick',
      [
        'setTimeout',
        'clearTimeout',
        'setInterval',
        'clearInterval',
        'setImmediate',
        'clearImmediate',
        'queueMicrotask',
        'Date',
        'performance',
      ] as const,
    ],
  ])('%s: cut, delay, drop and replay work', async (_, toFake) => {
    const { broker, writer, reader, users, copies } = await startPair();
    vi.useFakeTimers(toFake && { toFake: [...toFake] });

    broker.cut(reader);
    await users.save('1', 'second');
    broker.heal(reader);
    await settled(writer, reader);
    expect(ids(copies)).toEqual(['1']);

    broker.drop(1);
    await users.save('2', 'second');
    broker.replay();
    await settled(writer, reader);
    expect(ids(copies)).toEqual(['1', '2']);

    broker.delay('1m');
    await users.save('3', 'second');
    await settled(writer, reader);
    expect(ids(copies)).toEqual(['1', '2']);
    vi.advanceTimersByTime(60_000);
    expect(ids(copies)).toEqual(['1', '2', '3']);
  });

  it('exceeds maxStaleness by the fake clock', async () => {
    vi.useFakeTimers();
    const { broker, reader } = await startPair({
      maxStaleness: '30s',
      whenStale: 'widen',
    });
    const copies = reader.get(Users);

    broker.cut(reader);
    await vi.advanceTimersByTimeAsync(31_000);

    expect(copies.heard).toMatchObject([{ pattern: '*', widened: 'stale' }]);
    row = 'second';
    expect(await copies.find('1')).toBe('second');
  });
});

describe('An application on an InMemoryBroker that is never closed', () => {
  it('has no timer that keeps the process alive', async () => {
    const timers = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout')
        .length;
    const before = timers();
    const { users, broker } = await startPair({ maxStaleness: '30s' });
    broker.delay('1m');
    await users.save('1', 'second');

    expect(timers()).toBe(before);
  });
});
