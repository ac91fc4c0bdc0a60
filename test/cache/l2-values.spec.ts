import { Exclude, instanceToPlain, Type } from 'class-transformer';
import fc from 'fast-check';
import {
  InvalidationSerializationError,
  json,
  NearCacheFactory,
  structured,
  type L2Options,
  type NearCache,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { differenceOf } from '../../lib/cache/shared/difference.js';
import {
  connectRaw,
  LogRecorder,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';

class Post {
  constructor(readonly title: string) {}
}

class User {
  name = 'Ada';
  @Exclude()
  hash = 'secret hash';
  @Type(() => Date)
  born = new Date(0);
  @Type(() => Post)
  posts = [new Post('first')];

  get shout(): string {
    return this.name.toUpperCase();
  }
}

class Untyped {
  readonly post = new Post('first');
}

interface Pair {
  readonly one: NearCache<unknown>;
  readonly other: NearCache<unknown>;
  readonly app: TestApp;
  readonly logger: LogRecorder;
  stored(id: string): Promise<number>;
}

async function pair(l2: L2Options<unknown> = {}): Promise<Pair> {
  const channel = uniqueChannel();
  const keyPrefix = `near:${channel}:`;
  const logger = new LogRecorder();
  const start = (): Promise<TestApp> => startApp({ channel, logger });
  const [app, reader] = [await start(), await start()];
  const { offset } = await app.publisher.invalidate('Post', 'start');
  await reader.subscriber.caughtUp(offset!);
  const [one, other] = [app, reader].map(({ context }) =>
    context
      .get(NearCacheFactory)
      .create<unknown>('User', { l2: { keyPrefix, ...l2 } }),
  );
  const redis = connectRaw();
  const stored = (id: string): Promise<number> =>
    redis.exists(`${keyPrefix}user:${id}`);
  return { one: one!, other: other!, app, logger, stored };
}

async function throughRedis(
  { one, other, stored }: Pair,
  value: unknown,
): Promise<unknown> {
  await one.get('1', () => value);
  await eventually(async () => expect(await stored('1')).toBe(1));
  const read = await other.get('1', () => {
    throw new Error('Loaded.');
  });
  expect(other.stats).toMatchObject({ l2Hits: 1, l2Errors: 0 });
  return read;
}

const cyclic: unknown[] = [];
cyclic.push(cyclic);
// oxlint-disable-next-line no-sparse-arrays -- the subject of the test
const sparse = [1, , 2];

const CHANGED: [string, unknown, string][] = [
  ['a class instance', new User(), 'User'],
  ['a list of instances', [new Post('a')], 'Post at [0]'],
  ['an instance inside', { a: [{ post: new Post('a') }] }, 'at a[0].post'],
  ['a Date', { at: new Date(0) }, 'Date at at'],
  ['a Map', new Map([[1, 2]]), 'Map'],
  ['a Set', { s: new Set() }, 'Set at s'],
  ['a bigint', { n: 1n }, 'BigInt'],
  ['undefined in an array', [undefined], 'undefined at [0]'],
  ['a hole', sparse, 'Array'],
  ['NaN', { n: Number.NaN }, 'NaN at n'],
  ['Infinity', [Infinity], 'Infinity at [0]'],
  ['-0', { n: -0 }, '-0 at n'],
  ['bytes', { bytes: Buffer.from('a') }, 'Buffer at bytes'],
  ['a typed array', new Uint8Array(2), 'Uint8Array'],
  ['a symbol', { s: Symbol('s') }, 'symbol at s'],
  ['a symbol as key', { [Symbol('s')]: 1 }, 'Object'],
  ['a function', { f: () => 1 }, 'function at f'],
  ['toJSON', { a: 1, toJSON: () => ({}) }, 'number at a'],
  ['a cycle', cyclic, 'circular'],
  ['an array with a property', Object.assign([1], { total: 1 }), 'Array'],
  ['an error', { e: new Error('e') }, 'Error at e'],
];

describe('Second tier: a value that JSON would change', () => {
  it.each(CHANGED)('is not stored: %s', async (_, value, named) => {
    const caches = await pair();
    const { one, other, logger, stored } = caches;
    expect(await one.get('1', () => value)).toBe(value);
    expect(await one.get('1', () => 'again')).toBe(value);
    await one.get('2', () => value);
    await one.get('3', () => ({ plain: true }));
    await eventually(async () => expect(await stored('3')).toBe(1));
    expect([await stored('1'), await stored('2')]).toEqual([0, 0]);
    expect(one.stats).toMatchObject({ l2Unshared: 2, l2Errors: 0, hits: 1 });
    const lines = logger.errors.filter((line) => line.includes('of User '));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(named);
    expect(lines[0]).toContain('json()');
    expect(lines[0]).not.toContain('secret');
    expect(await other.get('1', () => 'loaded')).toBe('loaded');
  });

  it.each(CHANGED)(
    'rejects the read with the option strict: %s',
    async (_, value) => {
      const { one } = await pair({ strict: true });
      const read = one.get('1', () => value);
      await expect(read).rejects.toThrow(InvalidationSerializationError);
      expect(await one.get('2', () => ({ plain: true }))).toEqual({
        plain: true,
      });
    },
  );

  it('is not stored if it is too large to compare', async () => {
    const { one, logger } = await pair();
    const value = ['x'.repeat(2_000_000)];
    expect(await one.get('1', () => value)).toBe(value);
    expect(one.stats.l2Unshared).toBe(1);
    expect(logger.errors.join()).toContain('more than 524288 bytes');
  });

  it('is reported without property names that may be data', async () => {
    const { one, logger } = await pair();
    await one.get('1', () => ({ 'ada@example.com': { at: new Date() } }));
    expect(logger.errors.join()).toContain('Date at […].at');
  });
});

describe('Second tier: a value that JSON preserves', () => {
  it('is read back unchanged', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const copy: unknown = JSON.parse(JSON.stringify(value));
        const isChanged = differenceOf(value, copy) !== null;
        // -0 is the only number that JSON cannot represent.
        expect(isChanged).toBe(
          JSON.stringify(copy) !== JSON.stringify(value) || hasMinusZero(value),
        );
      }),
    );
  });

  it('may have undefined properties, and no prototype', async () => {
    const value = Object.assign(Object.create(null) as object, {
      a: undefined,
      b: null,
      c: [{ d: '' }],
    });
    const read = await throughRedis(await pair(), value);
    expect(read).toEqual({ b: null, c: [{ d: '' }] });
  });

  it('is compared in less than 50 ms, even when large', () => {
    const row = Object.fromEntries(
      Array.from({ length: 20 }, (_, at) => [`field${at}`, at]),
    );
    const rows = Array.from({ length: 2_300 }, () => ({ ...row }));
    // CPU time of warm code, so that other programs do not affect it.
    const times = Array.from({ length: 20 }, () => {
      const began = process.cpuUsage();
      const text = JSON.stringify(rows);
      expect(differenceOf(rows, JSON.parse(text))).toBeNull();
      expect(text.length).toBeGreaterThan(480_000);
      const { user, system } = process.cpuUsage(began);
      return (user + system) / 1_000;
    });
    expect(Math.min(...times)).toBeLessThan(50);
  });
});

function hasMinusZero(value: unknown): boolean {
  if (Object.is(value, -0)) return true;
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).some(hasMinusZero)
  );
}

describe('option l2.type', () => {
  it('creates instances from stored entries, with all properties', async () => {
    const user = (await throughRedis(
      await pair({ type: () => User }),
      new User(),
    )) as User;
    expect(user).toBeInstanceOf(User);
    expect(user.shout).toBe('ADA');
    expect(user.born).toEqual(new Date(0));
    expect(user.posts[0]).toBeInstanceOf(Post);
    expect(user.hash).toBe('secret hash');
    expect(instanceToPlain(user)).not.toHaveProperty('hash');
  });

  it('creates instances in lists', async () => {
    const caches = await pair({ type: () => User });
    const users = (await throughRedis(caches, [new User()])) as User[];
    expect(users[0]).toBeInstanceOf(User);
    expect(instanceToPlain(users)).not.toHaveProperty('0.hash');
  });

  it('does not store values that it could not create again', async () => {
    const { one, logger } = await pair({ type: () => Untyped });
    await one.get('1', () => new Untyped());
    expect(one.stats.l2Unshared).toBe(1);
    expect(logger.errors.join()).toContain('Post at post');
  });
});

describe('option l2.serializer', () => {
  it('json() accepts the changes that JSON makes to a value', async () => {
    const caches = await pair({ serializer: json() });
    const read = await throughRedis(caches, new Post('a'));
    expect(read).toEqual({ title: 'a' });
    expect(caches.one.stats.l2Unshared).toBe(0);
  });

  it('structured() preserves everything that can be cloned', async () => {
    const value: Record<string, unknown> = {
      at: new Date(5),
      map: new Map([[1n, new Set(['a'])]]),
      bytes: new Uint8Array([1, 2]),
      none: [undefined, Number.NaN, -0],
    };
    value['self'] = value;
    const caches = await pair({ serializer: structured() });
    expect(await throughRedis(caches, value)).toEqual(value);
    await caches.one.get('2', () => [new Post('a')]);
    await caches.one.get('3', () => ({ f: () => 1 }));
    expect(caches.one.stats.l2Unshared).toBe(2);
  });

  it('structured() limits the size, and throws for malformed bytes', async () => {
    const serializer = structured({ maxBytes: 1_000 });
    const { one } = await pair({ serializer });
    await one.get('1', () => 'x'.repeat(2_000));
    expect(one.stats.l2Unshared).toBe(1);
    expect(() => serializer.deserialize(Buffer.alloc(1_001))).toThrow(
      'maxBytes',
    );
    const bytes = Buffer.from(serializer.serialize([{ a: [1, 'b', 2n] }]));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), {
          maxLength: 8,
        }),
        (changes) => {
          const hostile = Buffer.from(bytes);
          for (const [at, byte] of changes) hostile[at] = byte;
          let thrown: unknown = new Error('Nothing.');
          try {
            serializer.deserialize(hostile);
          } catch (error) {
            thrown = error;
          }
          expect(thrown).toBeInstanceOf(Error);
        },
      ),
      { numRuns: 2_000 },
    );
    expect(() => structured({ maxBytes: -1 })).toThrow('maxBytes');
  });

  it('is rejected together with a type', async () => {
    const { app } = await pair();
    const caches = app.context.get(NearCacheFactory);
    for (const l2 of [
      { type: () => User, serializer: json() },
      { type: 'User' as never },
      { strict: 1 as never },
    ]) {
      expect(() => caches.create('User', { l2 })).toThrow(/l2\.(type|strict)/);
    }
  });
});
