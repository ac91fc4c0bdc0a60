import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  entity,
  InvalidatesCache,
  InvalidationPublisher,
} from 'nestjs-cache-invalidation';
import {
  CacheInvalidationTestingModule,
  InMemoryBroker,
  settled,
} from 'nestjs-cache-invalidation/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';

@Injectable()
class Users {
  loads = 0;

  @InvalidatesCache('User', (id: string) => id)
  async save(id: string): Promise<string> {
    return id;
  }

  @Cached('User', (id: string) => id)
  async find(_id: string): Promise<number> {
    return ++this.loads;
  }
}

async function start(
  options?: Parameters<typeof CacheInvalidationTestingModule.register>[0],
) {
  const app = await Test.createTestingModule({
    imports: [CacheInvalidationTestingModule.register(options)],
    providers: [Users],
  }).compile();
  onTestFinished(() => app.close());
  return app;
}

describe('CacheInvalidationTestingModule.register()', () => {
  it('returns a module with an injectable broker', async () => {
    const app = await start();
    await app.get(Users).save('1');

    expect(app.get(InMemoryBroker).published).toMatchObject([
      { entityType: 'User', entityId: '1', sourceService: 'test' },
    ]);
  });

  it('evicts near caches of an initialized module', async () => {
    const app = await start();
    await app.init();
    const users = app.get(Users);
    expect(await users.find('1')).toBe(1);
    expect(await users.find('1')).toBe(1);

    app.get(InMemoryBroker).emit(entity('User', '1'));
    await settled(app);

    expect(await users.find('1')).toBe(2);
  });

  it('accepts options, and a shared broker', async () => {
    const broker = new InMemoryBroker();
    const one = await start({ broker, serviceName: 'one' });
    const other = await start({ broker, serviceName: 'other' });
    await Promise.all([one.init(), other.init()]);
    const users = other.get(Users);
    await users.find('1');

    await one.get(Users).save('1');
    await settled(one, other);

    expect(await users.find('1')).toBe(2);
    expect(broker.published).toMatchObject([{ sourceService: 'one' }]);
  });

  it('connects each application that imports one dynamic module', async () => {
    const module = CacheInvalidationTestingModule.register();
    const apps = await Promise.all(
      [1, 2].map(() =>
        Test.createTestingModule({ imports: [module] }).compile(),
      ),
    );
    await Promise.all(apps.map((app) => app.init()));
    await apps[0]!.close();

    const receipt = await apps[1]!.get(InvalidationPublisher).invalidateUser(1);
    expect(receipt).toMatchObject({ status: 'delivered', receivers: 1 });
    await apps[1]!.close();
  });

  it('works when the environment disables the library', async () => {
    vi.stubEnv('CACHE_INVALIDATION_ENABLED', 'false');
    onTestFinished(() => void vi.unstubAllEnvs());
    const app = await start();
    await app.get(Users).save('1');
    expect(app.get(InMemoryBroker).published).toHaveLength(1);
  });
});

describe('InMemoryBroker.install()', () => {
  it('does not change a module without the library', async () => {
    const broker = new InMemoryBroker();
    const app = await broker
      .install(Test.createTestingModule({ providers: [Users] }))
      .compile();
    await app.init();
    onTestFinished(() => app.close());

    expect(await app.get(Users).save('1')).toBe('1');
    expect(await app.get(Users).find('1')).toBe(1);
    expect(broker.published).toEqual([]);
  });
});
