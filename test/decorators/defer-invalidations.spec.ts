import { Inject, Injectable, SetMetadata } from '@nestjs/common';
import {
  DeferInvalidations,
  InvalidatesCache,
  InvalidatesCachePattern,
  InvalidationPublisher,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { concat, defer, from, lastValueFrom, of, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { startApp } from '../testing/fakes/start-app.js';

const ROLLED_BACK = new Error('rolled back');

@Injectable()
class Users {
  /** Called before the COMMIT. */
  uncommitted: () => unknown = () => {};

  constructor(
    @Inject(InvalidationPublisher)
    private readonly publisher: InvalidationPublisher,
  ) {}

  @InvalidatesCache('User', (id: string) => id)
  async save(id: string): Promise<string> {
    return id;
  }

  @DeferInvalidations()
  @InvalidatesCache('User', (id: string) => id)
  @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
  async above(id: string): Promise<string> {
    await this.save('inner');
    await this.uncommitted();
    return id;
  }

  @InvalidatesCache('User', (id: string) => id)
  @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
  @DeferInvalidations()
  async below(id: string): Promise<string> {
    await this.save('inner');
    await this.uncommitted();
    return id;
  }

  @InvalidatesCache('User', (id: string) => id)
  @DeferInvalidations()
  @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
  async between(id: string): Promise<string> {
    await this.save('inner');
    await this.uncommitted();
    return id;
  }

  @DeferInvalidations()
  sync(id: string): string {
    void this.publisher.invalidate('User', id);
    this.uncommitted();
    return id;
  }

  @DeferInvalidations()
  values(id: string): Observable<string> {
    return concat(
      defer(() => this.save(id)),
      defer(() => from(Promise.resolve(this.uncommitted()))),
      of('last'),
    ) as Observable<string>;
  }

  @DeferInvalidations()
  async failing(id: string): Promise<void> {
    await this.save(id);
    throw ROLLED_BACK;
  }

  @DeferInvalidations()
  async outer(): Promise<void> {
    await this.save('1');
    await this.failing('2').catch(() => undefined);
    await this.uncommitted();
  }

  @DeferInvalidations()
  static named(_first: unknown, _second: unknown): void {}
}

async function start() {
  const { app, recorder } = await startApp({ providers: [Users] });
  const heard = async (): Promise<string[]> => {
    await settled(app);
    return recorder.published.map(said);
  };
  const users = app.get(Users);
  users.uncommitted = async () => expect(await heard()).toEqual([]);
  return { users, heard };
}

describe('@DeferInvalidations()', () => {
  it.each(['above', 'below', 'between'] as const)(
    '%s @InvalidatesCache(): publishes after the commit',
    async (method) => {
      const { users, heard } = await start();
      expect(await users[method]('1')).toBe('1');
      expect((await heard()).toSorted()).toEqual([
        'User:1',
        'User:inner',
        'feed:1:*',
      ]);
    },
  );

  it.each(['above', 'below', 'between'] as const)(
    '%s @InvalidatesCache(): publishes nothing after a rollback',
    async (method) => {
      const { users, heard } = await start();
      users.uncommitted = () => Promise.reject(ROLLED_BACK);
      await expect(users[method]('1')).rejects.toBe(ROLLED_BACK);
      expect(await heard()).toEqual([]);
    },
  );

  it('supports a synchronous method', async () => {
    const { users, heard } = await start();
    users.uncommitted = () => {};
    expect(users.sync('1')).toBe('1');
    expect(await heard()).toEqual(['User:1']);
    users.uncommitted = () => {
      throw ROLLED_BACK;
    };
    expect(() => users.sync('2')).toThrow(ROLLED_BACK);
    expect(await heard()).toEqual(['User:1']);
  });

  it('supports a method that returns an Observable', async () => {
    const { users, heard } = await start();
    expect(await lastValueFrom(users.values('1'))).toBe('last');
    expect(await heard()).toEqual(['User:1']);
    users.uncommitted = () => Promise.reject(ROLLED_BACK);
    await expect(lastValueFrom(users.values('2'))).rejects.toBe(ROLLED_BACK);
    expect(await heard()).toEqual(['User:1']);
  });

  it('publishes messages of an inner method whose error the outer one catches', async () => {
    const { users, heard } = await start();
    await users.outer();
    expect(await heard()).toEqual(['User:1', 'User:2']);
  });

  it('works on an instance outside of Nest', async () => {
    const { users } = await start();
    const own = new Users({} as InvalidationPublisher);
    own.uncommitted = () => {};
    expect(await own.above('1')).toBe('1');
    expect(users).not.toBe(own);
  });

  it('keeps name, length and metadata of the method', () => {
    class Tagged {
      @DeferInvalidations()
      @SetMetadata('role', 'admin')
      below(_first: unknown, _second: unknown): void {}
    }
    const { below } = Tagged.prototype;
    expect([below.name, below.length]).toEqual(['below', 2]);
    expect(Reflect.getMetadata('role', below)).toBe('admin');
    expect([Users.named.name, Users.named.length]).toEqual(['named', 2]);
  });

  it('rejects generators and accessors', () => {
    const decorate = DeferInvalidations() as MethodDecorator;
    class Odd {
      *generator(): Generator {}
      async *stream(): AsyncGenerator {}
      get getter(): string {
        return '';
      }
    }
    const on = (key: string) => () =>
      decorate(
        Odd.prototype,
        key,
        Object.getOwnPropertyDescriptor(Odd.prototype, key)!,
      );
    expect(on('generator')).toThrow('Odd.generator is a generator');
    expect(on('stream')).toThrow('Odd.stream is a generator');
    expect(on('getter')).toThrow('Odd.getter is not a method');
  });
});
