import {
  batch,
  entity,
  InvalidationSubscriber,
  NearCacheFactory,
  pattern,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { startApp } from '../testing/fakes/start-app.js';

const UPPER = '3F2504E0-4F89-11D3-9A0C-0305E82C3301';
const LOWER = UPPER.toLowerCase();

async function start(form = (id: string) => id.toLowerCase()) {
  const { app, broker } = await startApp({
    options: { normalizeIds: { User: form } },
  });
  const heard: string[] = [];
  app
    .get(InvalidationSubscriber)
    .messages$.subscribe((message) => heard.push(said(message)));
  const caches = app.get(NearCacheFactory);
  return { app, broker, heard, cache: caches.create<string>('User'), caches };
}

describe('option normalizeIds', () => {
  it.each([
    ['read in upper case', UPPER, LOWER],
    ['published in upper case', LOWER, UPPER],
  ])('evicts an entry whose id is %s', async (_what, read, published) => {
    const { app, broker, cache } = await start();
    await cache.get(read, () => 'old');
    expect(cache.peek(published)).toBe('old');

    broker.emit(entity('User', published));
    await settled(app);

    expect(cache.peek(read)).toBeUndefined();
    expect(await cache.get(read, () => 'new')).toBe('new');
  });

  it('does not cache a load that an invalidation with another case overtakes', async () => {
    const { broker, cache } = await start();

    await cache.get(UPPER, async () => {
      broker.emit(entity('User', LOWER));
      return 'old';
    });

    expect(cache.peek(LOWER)).toBeUndefined();
  });

  it('getMany() rejects if the loader returns no map', async () => {
    const { cache } = await start();
    const read = cache.getMany([UPPER], () => [{ id: UPPER }] as never);
    await expect(read).rejects.toThrow('loadMany returned no map');
  });

  it('getMany() returns each value under the id it was asked for', async () => {
    const { cache } = await start();
    const asked: string[][] = [];

    const found = await cache.getMany([UPPER, LOWER, 'b'], (ids) => {
      asked.push(ids);
      return new Map(ids.map((id) => [id, `row ${id}`]));
    });

    expect(asked).toEqual([[UPPER, 'b']]);
    expect([...found]).toEqual([
      [UPPER, `row ${UPPER}`],
      [LOWER, `row ${UPPER}`],
      ['b', 'row b'],
    ]);
  });

  it('normalizes ids of messages and batches, of its entity type only', async () => {
    const { app, broker, heard } = await start();

    broker.emit(entity('User', 'A'));
    broker.emit(entity('Post', 'A'));
    broker.emit(batch(['user:A', 'post:A', 'user:b']));
    await settled(app);

    expect(heard).toEqual(['User:a', 'Post:A', 'user:a,post:A,user:b']);
  });

  it.each([
    ['user:A*', 'user:*'],
    ['user:a*', 'user:a*'],
    ['user:*', 'user:*'],
    ['*:A', '*'],
    ['*:a', '*:a'],
    ['post:A*', 'post:A*'],
  ])(
    'widens patterns of its entity type unless they are normalized: %s becomes %s',
    async (published, meant) => {
      const { app, broker, heard, cache } = await start();
      await cache.get('A1', () => 'old');

      broker.emit(pattern(published, 'why'));
      await settled(app);

      expect(heard).toEqual([meant]);
      const isNamed = published.startsWith('user:');
      expect(cache.peek('A1')).toBe(
        isNamed || meant === '*' ? undefined : 'old',
      );
    },
  );

  it('evicts everything when the function fails, and rejects the read', async () => {
    const { app, broker, heard, cache } = await start(() => '');

    broker.emit(entity('User', 'A'));
    broker.emit(batch(['post:1', 'user:A']));
    await settled(app);

    expect(heard).toEqual(['*', '*']);
    await expect(cache.get('A', () => 'row')).rejects.toThrow(/no.* entity id/);
  });
});
