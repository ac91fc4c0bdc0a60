import { Injectable } from '@nestjs/common';
import fc from 'fast-check';
import {
  affects,
  batch,
  Cached,
  entity,
  everything,
  NearCacheFactory,
  pattern,
  type Invalidation,
  type NearCache,
  type NearCacheOptions,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { Fences } from '../../lib/stream/index.js';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type AppOptions,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';

interface Feed {
  readonly posts: readonly { readonly id: string }[];
}

const FEED: Feed = { posts: [{ id: '1' }, { id: '2' }] };

const dependsOn = (feed: Feed): Invalidation[] =>
  feed.posts.map(({ id }) => entity('Post', id));

async function startFeeds(
  options: NearCacheOptions<Feed> = {},
  app: AppOptions = {},
): Promise<TestApp & { feeds: NearCache<Feed>; read(): Promise<Feed> }> {
  const started = await startApp(app);
  const feeds = started.context
    .get(NearCacheFactory)
    .create<Feed>('Feed', { dependsOn, ...options });
  return { ...started, feeds, read: () => feeds.get('7', () => FEED) };
}

function feedOf(count: number, id = (at: number): string => String(at)): Feed {
  return { posts: Array.from({ length: count }, (_, at) => ({ id: id(at) })) };
}

describe('option dependsOn', () => {
  it.each<[string, Invalidation]>([
    ['an entity', entity('Post', 2)],
    ['a batch', batch(['user:1', 'post:1'])],
    ['a pattern', pattern('post:[12]')],
    ['an entity type', pattern('post:*')],
    ['everything', everything()],
    ['its own key', entity('Feed', 7)],
  ])('evicts the entry with %s', async (_, said) => {
    const { publisher, feeds, read } = await startFeeds();
    await read();
    await read();
    expect(feeds.stats).toMatchObject({ loads: 1, hits: 1 });
    await publisher.publish(said);
    expect(feeds.peek('7')).toBeUndefined();
    await read();
    expect(feeds.stats.loads).toBe(2);
  });

  it('keeps the entry at unrelated messages', async () => {
    const { publisher, feeds, read } = await startFeeds();
    await read();
    await publisher.invalidate('Post', 3);
    await publisher.invalidate('User', 1);
    await publisher.invalidatePattern('post:3*');
    await publisher.invalidateBatch(['feed:8', 'comment:1']);
    await read();
    expect(feeds.stats).toMatchObject({ loads: 1, hits: 1, overtaken: 0 });
  });

  it('caches again after an own message, and after its echo', async () => {
    const { publisher, subscriber, feeds, read } = await startFeeds({
      l2: {},
    });
    await read();
    const { offset } = await publisher.invalidate('Post', 1);
    await read();
    await subscriber.caughtUp(offset!);
    await publisher.invalidate('User', 1);
    await read();
    expect(feeds.stats).toMatchObject({ loads: 2, hits: 1 });
  });

  it('accepts an entity type or a pattern as a dependency', async () => {
    for (const glob of ['post:*', 'post:a*', 'p*']) {
      const { publisher, feeds, read } = await startFeeds({
        dependsOn: () => pattern(glob),
      });
      await read();
      await publisher.invalidate('Post', 99);
      await read();
      expect(feeds.stats.loads).toBe(2);
      if (glob === 'p*') continue;
      await publisher.invalidate('User', 1);
      await publisher.invalidatePattern('user:*');
      await read();
      expect(feeds.stats.loads).toBe(2);
    }
  });

  it('replaces too many dependencies by their entity types', async () => {
    const long = (at: number): string => `${at}`.padStart(1_000, '0');
    for (const feed of [feedOf(300), feedOf(100, long)]) {
      const { publisher, feeds } = await startFeeds();
      const read = (): Promise<Feed> => feeds.get('7', () => feed);
      await read();
      await publisher.invalidate('User', 1);
      await read();
      expect(feeds.stats.loads).toBe(1);
      await publisher.invalidate('Post', 'other');
      await read();
      expect(feeds.stats.loads).toBe(2);
    }
  });

  it('does not cache when a dependency is invalidated during the load', async () => {
    const { publisher, feeds, read } = await startFeeds();
    await feeds.get('7', async () => {
      await publisher.invalidate('Post', 1);
      return FEED;
    });
    expect(feeds.stats).toMatchObject({ overtaken: 1, size: 0 });
    await read();
    expect(feeds.stats.loads).toBe(2);
  });

  it('loads again for reads that begin after the invalidation of a dependency', async () => {
    const { publisher, feeds } = await startFeeds();
    const later: Feed = { posts: [{ id: '1' }] };
    let answer!: (feed: Feed) => void;
    const first = feeds.get('7', () => new Promise<Feed>((r) => (answer = r)));
    await publisher.invalidate('Post', 1);
    const joining = [feeds.get('7', () => later), feeds.get('7', () => later)];
    const many = feeds.getMany(['7'], () => new Map([['7', later]]));
    answer(FEED);
    expect(await first).toBe(FEED);
    for (const each of joining) expect(await each).toBe(later);
    expect((await many).get('7')).toBe(later);
    expect(await feeds.get('7', () => FEED)).toBe(later);
  });

  it('does not cache when dependsOn fails, and still returns the value', async () => {
    for (const wrong of [
      () => {
        throw new Error('No posts.');
      },
      () => ['post:1'] as never,
      (async () => []) as never,
    ]) {
      const { feeds, read, errors } = await startFeeds({ dependsOn: wrong });
      expect(await read()).toBe(FEED);
      expect(feeds.stats.size).toBe(0);
      expect(String(errors[0])).toContain('dependsOn');
    }
  });

  it('normalizes the ids of dependencies', async () => {
    const normalizeIds = { Post: (id: string) => id.toLowerCase() };
    const { publisher, feeds } = await startFeeds({}, { normalizeIds });
    const read = (): Promise<Feed> =>
      feeds.get('7', () => ({ posts: [{ id: 'ABC' }] }));
    await read();
    await publisher.invalidate('Post', 'abc');
    await read();
    expect(feeds.stats.loads).toBe(2);
  });

  it('works with @Cached and getMany()', async () => {
    @Injectable()
    class Feeds {
      loads = 0;

      @Cached('Feed', (id: string) => id, {
        dependsOn: (feed) =>
          feed.posts.map((post: { id: string }) => entity('Post', post.id)),
      })
      async find(_id: string): Promise<Feed> {
        this.loads++;
        return FEED;
      }
    }
    const { publisher, context, feeds } = await startFeeds(
      {},
      { providers: [Feeds] },
    );
    const decorated = context.get(Feeds);
    const readMany = (): Promise<Map<string, Feed>> =>
      feeds.getMany(['7', '8'], () => new Map([['7', FEED]]));
    for (const loads of [1, 2]) {
      for (let at = 0; at < 2; at++) await decorated.find('7');
      for (let at = 0; at < 2; at++) {
        expect((await readMany()).get('7')).toBe(FEED);
      }
      expect(decorated.loads).toBe(loads);
      await publisher.invalidate('Post', 2);
    }
  });
});

describe('option dependsOn with a second tier', () => {
  async function pair() {
    const channel = uniqueChannel();
    const options = { l2: { keyPrefix: `near:${channel}:` } };
    const one = await startFeeds(options, { channel });
    const other = await startFeeds(options, { channel });
    const { offset } = await one.publisher.invalidate('User', 'start');
    await other.subscriber.caughtUp(offset!);
    await one.read();
    const redis = connectRaw();
    const key = `near:${channel}:feed:7`;
    const stored = (): Promise<string | null> => redis.get(key);
    await eventually(async () => expect(await stored()).not.toBeNull());
    return { one, other, redis, key, stored, options, channel };
  }

  it('evicts the entry in other instances', async () => {
    const { one, other } = await pair();
    expect(await other.read()).toEqual(FEED);
    expect(other.feeds.stats).toMatchObject({ loads: 0, l2Hits: 1 });
    const { offset } = await one.publisher.invalidate('Post', 1);
    await other.subscriber.caughtUp(offset!);
    await other.read();
    expect(other.feeds.stats).toMatchObject({ loads: 1, l2Refused: 1 });
  });

  it('rejects the stored entry after the invalidation of a dependency, in a later instance too', async () => {
    const { one, other, options, channel, stored } = await pair();
    const before = await stored();
    const { offset } = await one.publisher.invalidate('Post', 2);
    await other.subscriber.caughtUp(offset!);
    expect(await stored()).toBe(before);
    const late = await startFeeds(options, { channel });
    await late.read();
    expect(late.feeds.stats).toMatchObject({ l2Refused: 1, loads: 1 });
    // A value that is loaded after the change replaces the stored one.
    await eventually(async () => expect(await stored()).not.toBe(before));
    await other.read();
    expect(other.feeds.stats.loads + other.feeds.stats.l2Hits).toBe(1);
  });

  it('does not store when a dependency was invalidated during the load', async () => {
    const { one, other, stored } = await pair();
    await one.publisher.invalidate('Feed', 7);
    await eventually(async () => expect(await stored()).toBeNull());
    await other.feeds.get('7', async () => {
      const { offset } = await one.publisher.invalidate('Post', 1);
      await other.subscriber.caughtUp(offset!);
      return FEED;
    });
    await other.feeds.get('9', () => FEED);
    const ninth = connectRaw();
    await eventually(async () =>
      expect(await ninth.exists((await keyOfNinth()) ?? '')).toBe(1),
    );
    expect(await stored()).toBeNull();

    async function keyOfNinth(): Promise<string | undefined> {
      const [key] = await ninth.keys(`near:${one.channel}:feed:9`);
      return key;
    }
  });

  it.each([
    ['nothing', 'd'],
    ['no list', 'd{}\nv{}'],
    ['a number', 'd[1]\nv{}'],
    ['no value', 'd["post:1"]'],
    ['a list that does not end', 'd[\nv{}'],
  ])(
    'rejects an entry whose dependencies are malformed (%s), and replaces it',
    async (_, line) => {
      const { other, redis, key, stored } = await pair();
      const entry = (await stored())!;
      const malformed = `${entry.slice(0, entry.indexOf('\n'))}\n${line}`;
      await redis.set(key, malformed);
      expect(await other.read()).toEqual(FEED);
      expect(other.feeds.stats).toMatchObject({
        l2Refused: 1,
        l2Hits: 0,
        loads: 1,
      });
      await eventually(async () => expect(await stored()).not.toBe(malformed));
    },
  );
});

/**
 * Whether a message affects a dependency, as the documentation of the options
 * describes.
 */
function touches(said: Invalidation, dependency: string): boolean {
  if (!dependency.endsWith(':') && dependency !== '') {
    return affects(said, dependency);
  }
  if (dependency === '' || said.action === 'Pattern') {
    const literal = said.pattern?.replace(/[*[?].*/, '') ?? '';
    return literal.startsWith(dependency) || dependency.startsWith(literal);
  }
  const keys = said.entityIds ?? [`${said.entityType}:${said.entityId}`];
  return keys.some((key) => key.toLowerCase().startsWith(dependency));
}

describe('Fence: several keys', () => {
  const KEYS = ['user:1', 'user:12', 'post:1', 'post:', 'user:', 'x:', ''];
  const said = fc.oneof(
    fc.constantFrom(1, 2, 12).map((id) => entity('User', id)),
    fc.subarray(['post:1', 'user:2', 'x:1']).map((some) => batch(some)),
    fc.constantFrom('user:1*', '*:1', 'post:*').map((glob) => pattern(glob)),
    fc.constant(everything()),
  );

  it('breaks if a later message affects one of the keys', () => {
    const asked = fc.subarray(KEYS, { minLength: 1 });
    fc.assert(
      fc.property(
        fc.array(said),
        fc.array(said),
        asked,
        fc.boolean(),
        (before, after, keys, isAskedBefore) => {
          const fences = new Fences();
          fences.take();
          for (const each of before) fences.record(each);
          if (isAskedBefore) fences.take().holds(...keys);
          const fence = fences.take();
          for (const each of after) fences.record(each);
          const isAffected = after.some((each) =>
            keys.some(
              (key) =>
                (key === '' && (each.entityIds?.length ?? 1) >= 0) ||
                touches(each, key),
            ),
          );
          expect(fence.holds(...keys)).toBe(!isAffected);
        },
      ),
    );
  });

  it('takenAt() breaks if a later message affects a key, recalled and early messages included', () => {
    fc.assert(
      fc.property(
        fc.array(said, { minLength: 2, maxLength: 20 }),
        fc.nat(),
        fc.subarray(KEYS, { minLength: 1 }),
        fc.boolean(),
        (all, at, keys, settles) => {
          const early = at % all.length;
          const offsets = all.map((_, index) => `${index + 1}-0`);
          const fences = new Fences();
          fences.trackPositions();
          fences.reached('0-1', false);
          fences.recordEarly(all[early]!);
          for (const [index, each] of all.entries()) {
            if (index !== early) fences.record(each);
            else if (settles) {
              const progress = { mark: 0, hasTaken: () => true };
              fences.settleEarly(
                { ...progress, lastOffset: '0-1' },
                offsets[index]!,
              );
            }
            fences.reached(offsets[index]!, true);
          }
          for (const [index, offset] of offsets.entries()) {
            const isAffected = all
              .slice(index + 1)
              .some((each) => keys.some((key) => touches(each, key)));
            // An own message that was delivered early may break the fence
            // without need.
            const right = isAffected ? [false] : [true, false];
            const fence = fences.takenAt(offset)!;
            expect(right).toContain(fence.holds(...keys));
          }
        },
      ),
    );
  });

  it('holds() takes less than 50 ms for many keys and many patterns', () => {
    const fences = new Fences();
    const fence = fences.take();
    for (let at = 0; at < 1_900; at++) fences.record(pattern(`user:${at}:*:x`));
    const keys = Array.from({ length: 256 }, (_, at) => `post:${at}`);
    const began = process.cpuUsage();
    fence.holds(...keys);
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1_000).toBeLessThan(50);
  });
});
