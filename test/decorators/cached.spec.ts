import { Injectable, Scope, SetMetadata } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import {
  Cached,
  InvalidatesCache,
  InvalidationConfigurationError,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { LogRecorder, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

interface User {
  readonly id: string;
  readonly name: string;
}

/** The row, and how often it was read. */
class Table {
  readonly names = new Map<string, string>();
  reads = 0;

  read(id: string): User {
    this.reads++;
    return { id, name: this.names.get(id) ?? 'nobody' };
  }
}

@Injectable()
class Users {
  constructor(readonly table: Table) {}

  @Cached('User', (id: string) => id)
  async find(id: string): Promise<User> {
    return this.table.read(id);
  }

  /** With a cache of its own. */
  @Cached('User', (id: string) => id)
  async nameOf(id: string): Promise<string> {
    return this.table.read(id).name;
  }

  @Cached('User', ({ id }: { id: string }) => id)
  async findBy(query: { id: string }): Promise<User> {
    return this.table.read(query.id);
  }

  @InvalidatesCache('User', (id: string) => id)
  async rename(id: string, name: string): Promise<void> {
    this.table.names.set(id, name);
  }
}

describe('@Cached', () => {
  it('loads once, until the writer on whatever instance says otherwise', async () => {
    const providers = [Users, Table];
    const one = await startApp({ providers });
    const other = await startApp({ providers, channel: one.channel });
    const [users, others] = [one, other].map(({ context }) =>
      context.get(Users),
    ) as [Users, Users];

    await users.find('1');
    expect((await users.find('1')).name).toBe('nobody');
    await others.find('1');
    expect([users.table.reads, others.table.reads]).toEqual([1, 1]);

    await users.rename('1', 'Ada');
    expect((await users.find('1')).name).toBe('Ada');
    others.table.names.set('1', 'Ada');
    await eventually(async () => {
      expect((await others.find('1')).name).toBe('Ada');
    });
    await users.find('2');
    expect(users.table.reads).toBe(3);
  });

  it('keeps what each method loads apart', async () => {
    const { context } = await startApp({ providers: [Users, Table] });
    const users = context.get(Users);
    await users.find('1');
    expect(await users.nameOf('1')).toBe('nobody');
    expect(await users.findBy({ id: '1' })).toEqual({
      id: '1',
      name: 'nobody',
    });
    await users.rename('1', 'Ada');
    expect(await users.nameOf('1')).toBe('Ada');
    expect(await users.findBy({ id: '1' })).toEqual({ id: '1', name: 'Ada' });
  });

  it('keeps one cache for all that are made for a request', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest extends Users {}
    const { context } = await startApp({ providers: [PerRequest, Table] });
    const modules = context.get(ModuleRef, { strict: false });
    const first = await modules.resolve(PerRequest, undefined, {
      strict: false,
    });
    const second = await modules.resolve(PerRequest, undefined, {
      strict: false,
    });
    expect(first).not.toBe(second);
    await first.find('1');
    await second.find('1');
    expect(first.table.reads).toBe(1);
    await first.rename('1', 'Ada');
    expect((await second.find('1')).name).toBe('Ada');
  });

  it('keeps what subclasses load apart', async () => {
    @Injectable()
    class Clients extends Users {}
    @Injectable()
    class Staff extends Users {}
    const { context } = await startApp({ providers: [Clients, Staff, Table] });
    const [clients, staff] = [context.get(Clients), context.get(Staff)];
    await clients.find('1');
    await staff.find('1');
    expect(clients.table.reads).toBe(2);
  });

  it("keeps what a subclass makes of its parent's apart, in Redis too", async () => {
    class Names {
      @Cached('User', (id: string) => id, { l2: {} })
      async find(id: string): Promise<string> {
        return id;
      }
    }
    @Injectable()
    class Greetings extends Names {
      @Cached('User', (id: string) => id, { l2: {} })
      override async find(id: string): Promise<string> {
        return `Hello ${await super.find(id)}`;
      }
    }
    const { context } = await startApp({ providers: [Greetings] });
    const greetings = context.get(Greetings);
    expect(await greetings.find('1')).toBe('Hello 1');
    expect(await greetings.find('1')).toBe('Hello 1');
    const names = [...context.get(NearCacheFactory).stats().keys()];
    expect(names).toEqual(['Greetings.find', 'Greetings/Names.find']);
  });

  it('refuses a promise for an id, whatever becomes of it', async () => {
    class Promised {
      @Cached('User', (async () => {
        throw new Error('of the selector');
      }) as never)
      async find(): Promise<string> {
        return 'found';
      }
    }
    const { context } = await startApp({ providers: [Promised] });
    const finding = context.get(Promised).find();
    await expect(finding).rejects.toThrow('returned a promise');
  });

  it('rejects with what the selector throws, and loads nothing', async () => {
    const { context } = await startApp({ providers: [Users, Table] });
    const users = context.get(Users);
    const wrong = undefined as unknown as { id: string };
    await expect(users.findBy(wrong)).rejects.toThrow(TypeError);
    expect(users.table.reads).toBe(0);
  });

  it('works without a cache on what Nest did not make, and says so once', async () => {
    const logger = new LogRecorder();
    await startApp({ logger });
    const users = new Users(new Table());
    await users.find('1');
    await users.find('1');
    expect(users.table.reads).toBe(2);
    const warned = logger.warnings.filter((line) =>
      line.includes('Users.find was called'),
    );
    expect(warned).toHaveLength(1);
  });

  it('keeps what other decorators know of the method', () => {
    class Marked {
      @Cached('User', (id: string) => id)
      @SetMetadata('mark', 'kept')
      async find(id: string): Promise<string> {
        return id;
      }
    }
    expect(Marked.prototype.find.name).toBe('find');
    expect(Marked.prototype.find).toHaveLength(1);
    expect(Reflect.getMetadata('mark', Marked.prototype.find)).toBe('kept');
  });

  it('refuses bad options, and what is no method of an instance', () => {
    const cached = Cached('User', (id: string) => id, { ttl: -1 });
    const method = { value: async (id: string) => id };
    expect(() => cached({}, 'find', method)).toThrow(
      InvalidationConfigurationError,
    );
    expect(() => {
      Cached('User', (id: string) => id)(class {}, 'find', method);
    }).toThrow(TypeError);
  });
});
