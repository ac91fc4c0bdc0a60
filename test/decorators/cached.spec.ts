import { randomUUID } from 'node:crypto';
import { Injectable, Scope, SetMetadata, type Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import {
  Cached,
  InvalidatesCache,
  InvalidationConfigurationError,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { connectRaw, LogRecorder, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { HandReplica } from '../replica/hand-replica.js';

interface User {
  readonly id: string;
  readonly name: string;
}

/** A row, and the number of its reads. */
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

  /** Service with a cache of its own. */
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
  it('loads once, and again after an invalidation by any instance', async () => {
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

  it('caches each method separately', async () => {
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

  it('shares one cache between request-scoped instances', async () => {
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

  it('caches subclasses separately', async () => {
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

  it('caches an override separately from its parent, with a second tier too', async () => {
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
    expect(names.toSorted()).toEqual([
      'Greetings.find',
      'Greetings/Names.find',
    ]);
  });

  it('creates the second tier at startup, so that it marks messages without a journal', async () => {
    @Injectable()
    class Names {
      @Cached('User', (id: string) => id, { l2: {} })
      async find(id: string): Promise<string> {
        return id;
      }
    }
    const serviceName = randomUUID();
    const app = await startApp({ serviceName, providers: [Names] });
    const raw = connectRaw();
    await raw.publish(
      app.channel,
      JSON.stringify({
        message_id: randomUUID(),
        entity_type: 'User',
        entity_id: '1',
        action: 'Delete',
        timestamp: new Date().toISOString(),
        source_service: 'another-language',
      }),
    );
    await eventually(async () => {
      const mark = `near:${serviceName}#Names.find:~foreign:user:`;
      expect(await raw.exists(mark)).toBe(1);
    });
  });

  it('does not share entries of two classes with the same name, and logs it at startup', async () => {
    const make = (
      value: string,
    ): Type<{ find(id: string): Promise<string> }> => {
      @Injectable()
      class Names {
        @Cached('User', (id: string) => id, { l2: {} })
        async find(): Promise<string> {
          return value;
        }
      }
      return Names;
    };
    const [One, Two, Three] = [make('one'), make('two'), make('three')];
    const serviceName = randomUUID();
    const providers = [One, Two, Three];
    const logger = new LogRecorder();
    const { context } = await startApp({ serviceName, providers, logger });
    expect(logger.lines.join()).toContain('Names.find of two classes');
    for (const [Class, value] of [
      [One, 'one'],
      [Two, 'two'],
      [Three, 'three'],
    ] as const) {
      expect(await context.get(Class).find('1')).toBe(value);
      expect(await context.get(Class).find('1')).toBe(value);
    }
    const stats = [...context.get(NearCacheFactory).stats().values()];
    expect(stats.map(({ loads, l2Errors }) => [loads, l2Errors])).toEqual([
      [1, 0],
      [1, 0],
      [1, 0],
    ]);
    expect(await connectRaw().keys(`near:${serviceName}*user:1`)).toEqual([]);
  });

  it('rejects at startup two methods with the same keyPrefix', async () => {
    @Injectable()
    class Names {
      @Cached('User', (id: string) => id, { l2: { keyPrefix: 'names:' } })
      async find(id: string): Promise<string> {
        return id;
      }

      @Cached('User', (id: string) => id, { l2: { keyPrefix: 'names:' } })
      async findBy(id: string): Promise<string> {
        return id;
      }
    }
    await expect(startApp({ providers: [Names] })).rejects.toThrow(
      /another cache of User has "names:"/,
    );
  });

  it('does not use a second tier without a journal, and logs it at startup', async () => {
    @Injectable()
    class Names {
      @Cached('User', (id: string) => id, { l2: {} })
      async find(id: string): Promise<string> {
        return id;
      }
    }
    const logger = new LogRecorder();
    const { context } = await startApp({
      journal: false,
      providers: [Names],
      logger,
    });
    expect(logger.lines.join()).toContain('give the option journal');
    expect(await context.get(Names).find('1')).toBe('1');
  });

  it('rejects a promise as an id', async () => {
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

  it('rejects with the error of the selector, and loads nothing', async () => {
    const { context } = await startApp({ providers: [Users, Table] });
    const users = context.get(Users);
    const wrong = undefined as unknown as { id: string };
    await expect(users.findBy(wrong)).rejects.toThrow(TypeError);
    expect(users.table.reads).toBe(0);
  });

  it('takes null of untyped code for no loader of the primary', async () => {
    const replica = new HandReplica();
    replica.primary = '5';
    const options = { replica, primary: null as never };
    class Reports {
      @Cached('Report', (id: string) => id, options)
      async find(id: string): Promise<string> {
        return `report ${id}`;
      }
    }
    Injectable()(Reports);
    const { context } = await startApp({ providers: [Reports] });
    expect(await context.get(Reports).find('1')).toBe('report 1');
  });

  it('does not cache for an instance outside of Nest, and logs it once', async () => {
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

  it('keeps metadata of other decorators', () => {
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

  it('rejects invalid options, and anything but an instance method', () => {
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
