import { Injectable } from '@nestjs/common';
import { InvalidatesCache } from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { startApp } from '../testing/fakes/start-app.js';

const FAILED = new Error('unique constraint');

/** A query builder: runs each time that it is awaited or executed. */
class Query {
  readonly #conditions: string[] = [];
  runs = 0;

  readonly [Symbol.toStringTag] = 'Query';

  get conditions(): string {
    return this.#conditions.join();
  }

  where(condition: string): this {
    this.#conditions.push(condition);
    return this;
  }

  /** Another query of the same kind. */
  returning(): Query {
    return new Query();
  }

  toSQL(): string {
    return `update where ${this.conditions}`;
  }

  async exec(): Promise<string> {
    this.runs++;
    if (this.#conditions.includes('broken')) throw FAILED;
    return `done ${this.conditions}`;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- the subject of the test
  then<R, E>(
    resolve?: (value: string) => R,
    reject?: (reason: unknown) => E,
  ): Promise<R | E> {
    return this.exec().then(resolve, reject);
  }

  catch<E>(reject: (reason: unknown) => E): Promise<string | E> {
    return this.exec().catch(reject);
  }
}

class Cancellable<T> extends Promise<T> {
  cancelled = false;

  cancel(): void {
    this.cancelled = true;
  }
}

@Injectable()
class Users {
  readonly query = new Query();

  @InvalidatesCache('User', (id: string) => id)
  lazy(_id: string): Query {
    return this.query;
  }

  @InvalidatesCache('User', (id: string) => id)
  other(_id: string, query: Query): Query {
    return query;
  }

  @InvalidatesCache('User', (id: string) => id)
  cancellable(id: string): Cancellable<string> {
    return Cancellable.resolve(id) as Cancellable<string>;
  }

  @InvalidatesCache('User', (id: string) => id)
  child(id: string): Promise<string> & { pid: number } {
    return Object.assign(Promise.resolve(id), { pid: 42 });
  }

  @InvalidatesCache('User', (id: string) => id)
  bare(id: string): PromiseLike<string> {
    const done = Promise.resolve(id);
    return Object.assign(Object.create(null), {
      // oxlint-disable-next-line unicorn/no-thenable -- the subject of the test
      then: done.then.bind(done),
    });
  }

  @InvalidatesCache('User', (id: string) => id)
  frozen(id: string): PromiseLike<string> {
    // oxlint-disable-next-line unicorn/no-thenable -- the subject of the test
    return Object.freeze({
      then: Promise.resolve(id).then.bind(Promise.resolve(id)),
    });
  }
}

/** A query with a fixed `then` or other method. */
class Fixed extends Query {
  constructor(key: 'then' | 'exec') {
    super();
    const value = Query.prototype[key].bind(this);
    Object.defineProperty(this, key, { value });
  }
}

async function start() {
  const { app, recorder } = await startApp({ providers: [Users] });
  const users = app.get(Users);
  return { app, users, heard: () => recorder.published.map(said) };
}

describe('A decorated method that returns a lazy thenable', () => {
  it('returns it unstarted, with its methods and properties', async () => {
    const { app, users, heard } = await start();

    const query = users.lazy('1').where('id = 1');

    await settled(app);
    expect(Object.prototype.toString.call(query)).toBe('[object Query]');
    expect(query).toBeInstanceOf(Query);
    expect(query.conditions).toBe('id = 1');
    expect(query.toSQL()).toBe('update where id = 1');
    expect(users.query.runs).toBe(0);
    expect(heard()).toEqual([]);
  });

  it.each<[string, (query: Query) => unknown]>([
    ['is awaited', (query) => query],
    ['is executed', (query) => query.exec()],
    ['is chained and awaited', (query) => query.where('id = 1')],
    ['returns another that is awaited', (query) => query.returning()],
    ['is caught', (query) => query.catch(() => 'done')],
  ])('invalidates once it %s', async (_what, run) => {
    const { users, heard } = await start();

    expect(await run(users.lazy('1'))).toMatch(/^done/);

    expect(heard()).toEqual(['User:1']);
  });

  it('passes an error on, and publishes nothing', async () => {
    const { app, users, heard } = await start();

    await expect(users.lazy('1').where('broken')).rejects.toBe(FAILED);

    await settled(app);
    expect(heard()).toEqual([]);
  });

  it('supports a thenable without a prototype', async () => {
    const { users, heard } = await start();

    expect(await users.bare('1')).toBe('1');

    expect(heard()).toEqual(['User:1']);
  });

  it('awaits a frozen thenable immediately', async () => {
    const { users, heard } = await start();

    expect(await users.frozen('1')).toBe('1');

    expect(heard()).toEqual(['User:1']);
  });
});

describe('A decorated method that returns a lazy thenable with a fixed method', () => {
  it.each(['then', 'exec'] as const)(
    'awaits it immediately (%s)',
    async (key) => {
      const { users, heard } = await start();
      const query = new Fixed(key);

      expect(await users.other('1', query)).toBe('done ');

      expect(heard()).toEqual(['User:1']);
      expect(query.runs).toBe(1);
    },
  );

  it('keeps its other methods', async () => {
    const { users } = await start();

    const query = users.other('1', new Fixed('exec'));

    expect(query.toSQL()).toBe('update where ');
    await query;
  });
});

describe('A decorated method that returns a promise with extra members', () => {
  it('keeps its methods, and invalidates without an await', async () => {
    const { app, users, heard } = await start();

    const saving = users.cancellable('1');
    saving.cancel();

    await settled(app);
    expect(heard()).toEqual(['User:1']);
    expect(saving).toBeInstanceOf(Cancellable);
    expect(await saving).toBe('1');
  });

  it('keeps its properties', async () => {
    const { users, heard } = await start();

    const child = users.child('1');

    expect(child.pid).toBe(42);
    expect(await child).toBe('1');
    expect(heard()).toEqual(['User:1']);
  });
});
