import {
  NearCache,
  NearCacheFactory,
  type L2Options,
  type SigningOptions,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { connectRaw, startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { NEW, signing } from './keys.js';

class Service {
  readonly channel = uniqueChannel();
  readonly keyPrefix = `near:${this.channel}:`;
  readonly redis = connectRaw();
  loads = 0;

  constructor(private readonly l2: L2Options<string> = {}) {}

  /** A new instance: nothing in memory. */
  async start(keys: SigningOptions | null = signing()) {
    const { keyPrefix, channel, l2 } = this;
    const users = {
      provide: NearCache,
      inject: [NearCacheFactory],
      useFactory: (caches: NearCacheFactory) =>
        caches.create<string>('User', { l2: { keyPrefix, ...l2 } }),
    };
    const app = await startApp({
      channel,
      signing: keys ?? undefined,
      providers: [users],
    });
    const { offset } = await app.publisher.invalidate('Post', 'start');
    await app.subscriber.caughtUp(offset!);
    const cache = app.context.get<NearCache<string>>(NearCache);
    const read = (id: string): Promise<string> =>
      cache.get(id, async () => {
        this.loads++;
        return `name of ${id}`;
      });
    return { ...app, cache, read };
  }

  nameOf(id: string): string {
    return `${this.keyPrefix}user:${id}`;
  }

  async stored(id: string): Promise<string> {
    return eventually(async () => {
      const entry = await this.redis.get(this.nameOf(id));
      if (entry === null) throw new Error('Not stored.');
      return entry;
    });
  }
}

describe.each([
  ['signed', {}, /^\d+-\d+\nsnew [\w-]{43}\nv"name of 1"$/],
  ['encrypted', { encrypt: true }, /^\d+-\d+\nenew [\w-]{59}\n/],
])('entries of the second tier, %s', (form, l2, layout) => {
  it('are shared by the instances of a service', async () => {
    const service = new Service(l2);
    const one = await service.start();
    await one.read('1');
    expect(await service.stored('1')).toMatch(layout);
    const isReadable = (await service.stored('1')).includes('name of 1');
    expect(isReadable).toBe(form === 'signed');
    const other = await service.start();
    expect(await other.read('1')).toBe('name of 1');
    expect(service.loads).toBe(1);
    expect(other.cache.stats).toMatchObject({ l2Hits: 1, l2Refused: 0 });
  });

  it.each([
    ['planted', (entry: string) => entry.replace(/\n[^]*/, '\nv"planted"')],
    ['at another offset', (entry: string) => entry.replace(/-\d+/, '-1')],
    [
      'pinned',
      (entry: string) => entry.replace(/^\d+-\d+/, '99999999999999-1'),
    ],
  ])('are refused and replaced if they are %s', async (_, forge) => {
    const service = new Service(l2);
    await (await service.start()).read('1');
    await service.stored('1');
    const genuine = await service.redis.getBuffer(service.nameOf('1'));
    const forged = forge(genuine!.toString('latin1'));
    await service.redis.set(service.nameOf('1'), Buffer.from(forged, 'latin1'));
    const reader = await service.start();
    expect(await reader.read('1')).toBe('name of 1');
    expect(service.loads).toBe(2);
    expect(reader.cache.stats).toMatchObject({ l2Hits: 0, l2Refused: 1 });
    await eventually(async () => {
      expect(await service.stored('1')).toMatch(layout);
      expect(await service.stored('1')).not.toMatch(/^9999/);
    });
    expect(await (await service.start()).read('1')).toBe('name of 1');
    expect(service.loads).toBe(2);
  });

  it('are refused under another name', async () => {
    const service = new Service(l2);
    const one = await service.start();
    await one.read('1');
    await service.stored('1');
    await service.redis.copy(service.nameOf('1'), service.nameOf('2'));
    const other = await service.start();
    expect(await other.read('2')).toBe('name of 2');
  });
});

describe('entries of the second tier', () => {
  it('are not encrypted without a key: the cache cannot be made', async () => {
    const service = new Service({ encrypt: true });
    await expect(service.start(null)).rejects.toThrow(
      /l2\.encrypt: there is no key\. Give the option `signing`/,
    );
  });

  it('of services that sign nothing are taken while "all" is accepted', async () => {
    const service = new Service();
    await (await service.start(null)).read('1');
    await service.stored('1');
    const accepting = signing({ new: NEW }, { accept: 'all' });
    expect(await (await service.start(accepting)).read('1')).toBe('name of 1');
    expect(service.loads).toBe(1);
    expect(await (await service.start()).read('1')).toBe('name of 1');
    expect(service.loads).toBe(2);
  });
});
