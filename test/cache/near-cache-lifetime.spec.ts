import { setFlagsFromString } from 'node:v8';
import { setTimeout as delay } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { LogRecorder, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { HandReplica } from '../replica/hand-replica.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function asksNoMore(replica: HandReplica): Promise<void> {
  await delay(700);
  const { applied } = replica.asked;
  await delay(1_200);
  expect(replica.asked.applied).toBe(applied);
}

describe('NearCache: lifetime', () => {
  it('close() stops caching, and frees its name', async () => {
    const { context, publisher } = await startApp();
    const factory = context.get(NearCacheFactory);
    const cache = factory.create<string>('User', { l2: {} });
    await publisher.invalidate('Post', 1);
    let loads = 0;
    const load = (): string => `${++loads}`;
    await cache.get(1, load);
    cache.close();
    cache.close();
    expect(cache.peek(1)).toBeUndefined();
    expect(await cache.get(1, load)).toBe('2');
    expect(await cache.get(1, load)).toBe('3');
    const many = await cache.getMany([1], () => new Map([[1, 'x']]));
    expect(many.get(1)).toBe('x');
    expect(cache.stats.size).toBe(0);
    expect([...factory.stats().keys()]).toEqual([]);

    const next = factory.create<string>('User', { l2: {} });
    await next.get(1, load);
    expect([...factory.stats().keys()]).toEqual(['User']);
  });

  it('does not cache a load that was in flight at close()', async () => {
    const { context } = await startApp();
    const cache = context.get(NearCacheFactory).create<string>('User');
    let land: (value: string) => void = () => {};
    const loading = cache.get(
      1,
      () => new Promise((resolve) => (land = resolve)),
    );
    await Promise.resolve();
    cache.close();
    land('late');
    expect(await loading).toBe('late');
    expect(cache.peek(1)).toBeUndefined();
  });

  it('asks its replica no more once it is closed, or collected', async () => {
    const { context } = await startApp();
    const factory = context.get(NearCacheFactory);
    const replica = new HandReplica();
    replica.primary = '5';
    const closed = factory.create<string>('User', { replica });
    await closed.get(1, () => 'x');
    await replica.wasAsked(2);
    closed.close();
    await asksNoMore(replica);
    for (let request = 0; request < 20; request++) {
      await factory.create<string>('User', { replica }).get(1, () => 'x');
    }
    await replica.wasAsked(2);
    await eventually(() => {
      collectGarbage();
      expect(factory.stats().size).toBe(0);
    });
    await asksNoMore(replica);
  });

  it('is garbage-collected with its request-scoped owner', async () => {
    const { context } = await startApp();
    const factory = context.get(NearCacheFactory);
    const kept = factory.create<string>('Post');
    for (let request = 0; request < 300; request++) {
      const cache = factory.create<string>('User');
      await cache.get(1, () => 'x');
    }
    await eventually(() => {
      collectGarbage();
      const left = [...factory.stats().values()];
      // The last cache may still be referenced from the stack.
      expect(left.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(3);
    });
    expect(kept.peek(1)).toBeUndefined();
  });

  it('is not garbage-collected while it has a second tier to sweep', async () => {
    const { context } = await startApp();
    const factory = context.get(NearCacheFactory);
    factory.create<string>('User', { l2: {} });
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(factory.stats().has('User')).toBe(true);
  });

  it('statistics combine many caches with the same name', async () => {
    const logger = new LogRecorder();
    const { context } = await startApp({ logger });
    const factory = context.get(NearCacheFactory);
    const caches = Array.from({ length: 300 }, () =>
      factory.create<string>('User'),
    );
    for (const cache of caches) await cache.get(1, () => 'x');
    const stats = factory.stats();
    expect([...stats.keys()]).toHaveLength(10);
    expect(stats.get('User-9')).toMatchObject({ loads: 1, size: 1 });
    expect(stats.get('User-more')).toMatchObject({ loads: 291, size: 291 });
    expect(logger.warnings.join()).toContain('request-scoped');
    expect(logger.warnings.length).toBe(1);
  });
});

describe('InvalidationSubscriber: too many consumers', () => {
  it('logs a warning at 250 consumers, and rejects the 10001st', async () => {
    const logger = new LogRecorder();
    const { subscriber } = await startApp({ logger });
    const ends: (() => void)[] = Array.from({ length: 249 }, () =>
      subscriber.bind(new Map()),
    );
    expect(logger.warnings).toEqual([]);
    ends.push(subscriber.bind(new Map()));
    expect(logger.warnings.join()).toContain('A bound cache has been');
    while (ends.length < 9_999) ends.push(subscriber.subscribe(() => {}));
    expect(() => {
      subscriber.bind(new Map());
      subscriber.bind(new Map());
    }).toThrow(/10000 already/);
    for (const end of ends) end();
    expect(() => subscriber.bind(new Map())).not.toThrow();
  });
});
