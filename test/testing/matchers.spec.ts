import { batch, entity, everything, pattern } from 'nestjs-cache-invalidation';
import {
  InMemoryBroker,
  invalidationMatchers,
  InvalidationRecorder,
} from 'nestjs-cache-invalidation/testing';
import { beforeEach, describe, expect, it } from 'vitest';

expect.extend(invalidationMatchers);

let broker: InMemoryBroker;
beforeEach(() => (broker = new InMemoryBroker()));

describe('toHaveInvalidated()', () => {
  it('matches an entity by type and id', () => {
    broker.emit(entity('User', '1'));

    expect(broker).toHaveInvalidated('User', '1');
    expect(broker).toHaveInvalidated('User', 1);
    expect(broker).not.toHaveInvalidated('User', '2');
    expect(broker).not.toHaveInvalidated('Post', '1');
  });

  it('matches a key of a batch, a pattern and everything', () => {
    broker.emit(batch(['user:1', 'session:x']));
    expect(broker).toHaveInvalidated('User', '1');
    expect(broker).toHaveInvalidated('session', 'x');
    expect(broker).not.toHaveInvalidated('User', '3');

    broker.emit(pattern('user:3*'));
    expect(broker).toHaveInvalidated('User', '3');

    broker.emit(everything());
    expect(broker).toHaveInvalidated('Post', '9');
  });

  it('rejects a missing id or type', () => {
    broker.emit(entity('User', '1'));
    const missing = undefined as never;

    expect(() => expect(broker).toHaveInvalidated('User', missing)).toThrow(
      /undefined.*id|id.*missing/i,
    );
    expect(() =>
      expect(broker).not.toHaveInvalidated('User', null as never),
    ).toThrow(/null.*id|id.*missing/i);
    expect(() =>
      expect(broker).toHaveInvalidatedTimes(1, 'User', missing),
    ).toThrow(/id/);
    expect(() => expect(broker).toHaveLastInvalidated(missing)).toThrow(
      'cannot be expected',
    );
  });

  it.each(['x', -1, 1.5, NaN, undefined])('rejects the count %s', (count) => {
    expect(() =>
      expect(broker).not.toHaveInvalidatedTimes(count as number),
    ).toThrow('not a number of times');
  });

  it('matches a type, and anything', () => {
    expect(broker).not.toHaveInvalidated();
    broker.emit(entity('User', '1'));

    expect(broker).toHaveInvalidated();
    expect(broker).toHaveInvalidated('User');
    expect(broker).not.toHaveInvalidated('Post');
  });

  it('matches an invalidation as published', () => {
    broker.emit(pattern('feed:*'));
    broker.emit(batch(['user:1', 'user:2']));
    broker.emit(entity('User', '3', { action: 'Update', metadata: { a: 1 } }));

    expect(broker).toHaveInvalidated(pattern('feed:*'));
    expect(broker).not.toHaveInvalidated(pattern('feed:1*'));
    expect(broker).toHaveInvalidated(batch(['user:2', 'user:1']));
    expect(broker).not.toHaveInvalidated(batch(['user:1']));
    expect(broker).toHaveInvalidated(entity('User', '3', { action: 'Update' }));
    expect(broker).not.toHaveInvalidated(entity('User', '3'));
    expect(broker).toHaveInvalidated(
      entity('User', '3', { action: 'Update', metadata: { a: 1 } }),
    );
    expect(broker).not.toHaveInvalidated(
      entity('User', '3', { action: 'Update', metadata: { a: 2 } }),
    );
    expect(broker).not.toHaveInvalidated(everything());
  });

  it('accepts a recorder', () => {
    broker.emit(entity('User', '1'));
    const recorder = new InvalidationRecorder(broker);
    broker.emit(entity('User', '2'));

    expect(recorder).not.toHaveInvalidated('User', '1');
    expect(recorder).toHaveInvalidated('User', '2');
    broker.clear();
    expect(broker).not.toHaveInvalidated();
  });

  it('prints the published messages when it fails', () => {
    expect(() => expect(broker).toHaveInvalidated('User', '1')).toThrow(
      /User 1 should have been invalidated\.\nNothing was published\..*settled/,
    );
    broker.emit(entity('User', '2'));
    broker.emit(pattern('feed:*'));
    expect(() => expect(broker).toHaveInvalidated('User', '1')).toThrow(
      /Published:\n {2}- Delete "User 2"\n {2}- Pattern "feed:\*"/,
    );
    expect(() => expect(broker).not.toHaveInvalidated('User', '2')).toThrow(
      /User 2 should not have been invalidated/,
    );
  });

  it('rejects other objects', () => {
    expect(() => expect({}).toHaveInvalidated('User', '1')).toThrow(
      /InMemoryBroker or an InvalidationRecorder/,
    );
    expect(() => expect(broker).not.toHaveInvalidated('')).toThrow(
      /entity type/,
    );
  });
});

describe('toHaveInvalidatedTimes() and toHaveLastInvalidated()', () => {
  it('count messages and compare the last one', () => {
    broker.emit(entity('User', '1'));
    broker.emit(entity('User', '1'));
    broker.emit(entity('Post', '2'));

    expect(broker).toHaveInvalidatedTimes(3);
    expect(broker).toHaveInvalidatedTimes(2, 'User', '1');
    expect(broker).toHaveInvalidatedTimes(0, 'Feed');
    expect(broker).not.toHaveInvalidatedTimes(1, 'User');
    expect(broker).toHaveLastInvalidated('Post', '2');
    expect(broker).not.toHaveLastInvalidated('User');
    expect(() => expect(broker).toHaveInvalidatedTimes(1, 'User')).toThrow(
      /User should have been invalidated 1 times, but was 2 times/,
    );
  });
});
