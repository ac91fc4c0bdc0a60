import { describe, expect, it, vi } from 'vitest';
import { NearCacheFactory } from '../../lib/cache/index.js';
import {
  CallbackFailedError,
  InvalidationConfigurationError,
  InvalidMessageError,
} from '../../lib/errors/index.js';
import { entity, Instance, type IdForms } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { InvalidationStream } from '../../lib/stream/index.js';
import { eventually } from '../support/eventually.js';
import { HandSource, RecordingStore, turn } from './setup.js';

function makeFactory({
  journaled = true,
  normalizeIds,
}: { journaled?: boolean; normalizeIds?: IdForms } = {}) {
  const source = new HandSource();
  const store = new RecordingStore();
  const open = vi.spyOn(store, 'open');
  const close = vi.spyOn(store, 'close');
  const errors = { report: vi.fn(), log: vi.fn() };
  const stream = new InvalidationStream(
    { handlerQueueLimit: 100, queueByteLimit: 1_000_000, normalizeIds },
    new InvalidationCounters(new Instance('test')),
    errors as never,
  );
  const factory = new NearCacheFactory(
    {
      enabled: true,
      serviceName: 'shop',
      channel: 'all',
      startupTimeout: 1_000,
    },
    { journaled, l2Store: () => store } as never,
    stream,
    source,
    errors as never,
  );
  return { factory, source, store, open, close, errors, stream };
}

describe('NearCacheFactory', () => {
  it('makes a cache that messages of its type evict, without a second tier by default', async () => {
    const { factory, source, stream, store } = makeFactory();
    const users = factory.create<string>('User');
    await users.get('1', () => 'Ada');
    stream.deliver(source.hear(entity('Post', 1), '6-0'));
    expect(users.peek('1')).toBe('Ada');
    stream.deliver(source.hear(entity('User', 1), '7-0'));
    expect(users.peek('1')).toBeUndefined();
    await turn();
    expect(store.calls).toEqual([]);
    expect(stream.handledTypes()).toEqual(['User']);
  });

  it('names a cache by its owner, or else by its type', () => {
    const { factory } = makeFactory();
    factory.create('User');
    factory.create('User', {}, 'Users.find');
    factory.createFor('Post', {}, 'Posts.find');
    expect([...factory.stats().keys()]).toEqual([
      'User',
      'Users.find',
      'Posts.find',
    ]);
    expect(factory.entityTypes()).toEqual(['User', 'Post']);
  });

  it('gives each owner names of its own in Redis', async () => {
    const { factory, store } = makeFactory();
    const caches = [
      factory.create<string>('User', { l2: {} }),
      factory.create<string>('User', { l2: {} }, 'Users.find'),
      factory.createFor<string>('User', { l2: {} }, 'Users.all')!,
    ];
    for (const cache of caches) await cache.get('1', () => 'Ada');
    await eventually(() =>
      expect([...store.stored.keys()]).toEqual([
        'near:shop:user:1',
        'near:shop#Users.find:user:1',
        'near:shop#Users.all:user:1',
      ]),
    );
  });

  it('refuses a second tier without the journal, which a decorated method works without', async () => {
    const { factory, errors } = makeFactory({ journaled: false });
    expect(() => factory.create('User', { l2: {} })).toThrow(
      InvalidationConfigurationError,
    );
    const users = factory.createFor<string>('User', { l2: {} }, 'Users.find')!;
    expect(await users.get('1', () => 'Ada')).toBe('Ada');
    expect(errors.log).toHaveBeenCalledOnce();
  });

  it('refuses bad options and impossible types', () => {
    const { factory } = makeFactory();
    expect(() => factory.create('User', { max: 0 })).toThrow(
      InvalidationConfigurationError,
    );
    expect(() => factory.createFor('User', { max: 0 }, 'a')).toThrow(
      InvalidationConfigurationError,
    );
    expect(() => factory.create('')).toThrow(InvalidMessageError);
  });

  it('frees the name of a cache that is closed, in Redis too', () => {
    const { factory, stream } = makeFactory();
    const users = factory.create('User', { l2: {} });
    const plain = factory.create('User');
    expect(() => factory.create('User', { l2: {} })).toThrow(
      'another cache of User',
    );
    users.close();
    plain.close();
    expect(stream.handledTypes()).toEqual([]);
    expect(() => factory.create('User', { l2: {} })).not.toThrow();
    expect([...factory.stats().keys()]).toEqual(['User']);
  });

  it('connects second tiers when it starts, and ends everything when it stops', async () => {
    const { factory, open, close } = makeFactory();
    const users = factory.create<string>('User', { l2: {} });
    await factory.start();
    expect(open).toHaveBeenCalledOnce();
    await users.get('1', () => 'Ada');
    factory.stop();
    expect(close).toHaveBeenCalledOnce();
    expect(users.peek('1')).toBeUndefined();
    expect(factory.stats().get('User')).toMatchObject({ loads: 1 });
  });

  it('evicts at dependencies, and reports a selector that fails by the name of the cache', async () => {
    const { factory, source, stream, errors } = makeFactory();
    const feeds = factory.create<string>('Feed', {
      dependsOn: (value: string) => {
        if (value === 'bad') throw new Error('of the selector');
        return entity('Post', 1);
      },
    });
    expect(stream.handledTypes()).toBeNull();
    await feeds.get('1', () => 'good');
    stream.deliver(source.hear(entity('Post', 1), '6-0'));
    expect(feeds.peek('1')).toBeUndefined();
    await feeds.get('1', () => 'bad');
    const [error, name] = errors.report.mock.lastCall as [
      CallbackFailedError,
      string,
    ];
    expect(name).toBe('Feed dependsOn');
    expect(error).toBeInstanceOf(CallbackFailedError);
    expect(error.source).toBe('Feed');
  });
});

describe('NearCacheFactory with the option normalizeIds', () => {
  const lower = (id: string): string => id.toLowerCase();

  it('reads ids of that type in one form, and those of other types as they are', async () => {
    const { factory } = makeFactory({ normalizeIds: { User: lower } });
    const users = factory.create<string>('User');
    const posts = factory.create<string>('Post');
    for (const cache of [users, posts]) await cache.get('A', () => 'a');
    expect([users.peek('a'), users.peek('A'), posts.peek('a')]).toEqual([
      'a',
      'a',
      undefined,
    ]);
    expect(await users.get('a', () => expect.unreachable())).toBe('a');
  });

  it('normalizes the ids of dependencies', async () => {
    const { factory, source, stream } = makeFactory({
      normalizeIds: { Post: lower },
    });
    const feeds = factory.create<string>('Feed', {
      dependsOn: () => entity('Post', 'A'),
    });
    await feeds.get('1', () => 'a');
    stream.deliver(source.hear(entity('Post', 'a'), '6-0'));
    expect(feeds.peek('1')).toBeUndefined();
  });

  it('getMany() asks for each entity once, by the first form, and answers by the forms it was asked in', async () => {
    const { factory } = makeFactory({ normalizeIds: { User: lower } });
    const users = factory.create<string>('User');
    const asked: string[][] = [];
    const load = (ids: string[]): Map<string, string> => {
      asked.push(ids);
      return new Map(
        ids.filter((id) => id !== 'c').map((id) => [id, `row ${id}`]),
      );
    };
    const found = await users.getMany(['A', 'a', 'b', 'c'], load);
    expect(asked).toEqual([['A', 'b', 'c']]);
    expect([...found]).toEqual([
      ['A', 'row A'],
      ['a', 'row A'],
      ['b', 'row b'],
    ]);
    expect(users.peek('B')).toBe('row b');
  });

  it('rejects reads of ids that have no form', async () => {
    const { factory } = makeFactory({ normalizeIds: { User: () => '' } });
    const users = factory.create<string>('User');
    const load = (): never => expect.unreachable();
    await expect(users.get('1', load)).rejects.toThrow(InvalidMessageError);
    await expect(users.getMany(['1'], load)).rejects.toThrow(
      InvalidMessageError,
    );
    expect(() => users.peek('1')).toThrow(InvalidMessageError);
    const own = makeFactory({
      normalizeIds: { User: lower },
    }).factory.create<string>('User');
    await expect(own.get('', load)).rejects.toThrow(InvalidMessageError);
  });
});
