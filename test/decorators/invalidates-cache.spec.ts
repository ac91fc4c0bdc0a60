import { Inject, Injectable } from '@nestjs/common';
import {
  Cached,
  entity,
  fromResult,
  InvalidatesCache,
  InvalidatesCachePattern,
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
  OnInvalidation,
  type CacheInvalidationError,
  type Invalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import {
  concatMap,
  firstValueFrom,
  lastValueFrom,
  NEVER,
  of,
  Subject,
  throwError,
  toArray,
  type Observable,
} from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import type { MethodInvalidation } from '../../lib/decorators/method-invalidation.js';
import { DecoratedCall } from '../../lib/decorators/decorated-call.js';
import { MethodPublisher } from '../../lib/decorators/index.js';
import { InvalidationTransport } from '../../lib/transport/index.js';
import { startApp, type StartedApp } from '../testing/fakes/start-app.js';

interface User {
  readonly id: string;
  readonly name: string;
}

type Started<T> = StartedApp & { readonly service: T };

async function startWith<T>(
  service: new (...args: never[]) => T,
): Promise<Started<T>> {
  const started = await startApp({ providers: [service] });
  return { ...started, service: started.app.get(service) };
}

describe('@InvalidatesCache(): selected keys', () => {
  class Selecting {
    @InvalidatesCache('User', (id: string) => id)
    async byArgument(_id: string): Promise<void> {}

    @InvalidatesCache(
      'User',
      (_first: string, second: { id: string }) => second.id,
    )
    async bySecondArgument(_first: string, _second: { id: string }) {}

    @InvalidatesCache('User', fromResult((user: User) => user.id))
    async byResult(name: string): Promise<User> {
      return { id: 'made', name };
    }

    @InvalidatesCache(
      'Comment',
      fromResult((user: User, post: string) => `${post}:${user.id}`),
    )
    async byResultAndArgument(_post: string): Promise<User> {
      return { id: '7', name: 'Ada' };
    }

    @InvalidatesCache('Post', (id: number | bigint) => id)
    async byNumber(_id: number | bigint): Promise<void> {}

    @InvalidatesCache('session', (id: string) => id)
    async custom(_id: string): Promise<void> {}

    @InvalidatesCache('User', (ids: (string | number | null)[]) => ids)
    async several(_ids: (string | number | null)[]): Promise<void> {}

    @InvalidatesCache('User', (id: string | null | undefined) => id)
    async perhaps(_id: string | null | undefined): Promise<void> {}

    @InvalidatesCache('User', (id: string) => id, {
      when: (_id: string, really: boolean) => really,
    })
    async when(_id: string, _really: boolean): Promise<void> {}

    @InvalidatesCache('User', (id: string) => id, {
      when: fromResult((changed: boolean) => changed),
    })
    async whenResult(_id: string, changed: boolean): Promise<boolean> {
      return changed;
    }

    @InvalidatesCache('User', (id: string) => id, {
      action: 'Update',
      metadata: { reason: 'renamed' },
    })
    async updated(_id: string): Promise<void> {}

    @InvalidatesCache('User', (ids: string[]) => ids, {
      metadata: (ids: string[]) => ({ count: ids.length }),
    })
    async withMetadata(_ids: string[]): Promise<void> {}
  }

  it.each<
    [
      string,
      (service: Selecting) => Promise<unknown>,
      Record<string, unknown> | null,
    ]
  >([
    [
      'an argument',
      (s) => s.byArgument('42'),
      { action: 'Delete', entityType: 'User', entityId: '42', metadata: null },
    ],
    [
      'a later argument',
      (s) => s.bySecondArgument('1', { id: '2' }),
      { entityType: 'User', entityId: '2' },
    ],
    [
      'the result',
      (s) => s.byResult('Ada'),
      { entityType: 'User', entityId: 'made' },
    ],
    [
      'the result and an argument',
      (s) => s.byResultAndArgument('9'),
      { entityType: 'Comment', entityId: '9:7' },
    ],
    ['a number', (s) => s.byNumber(0), { entityType: 'Post', entityId: '0' }],
    [
      'a bigint',
      (s) => s.byNumber(2n ** 64n),
      { entityType: 'Post', entityId: '18446744073709551616' },
    ],
    [
      'a custom type',
      (s) => s.custom('a:b'),
      { entityType: 'session', entityId: 'a:b' },
    ],
    [
      'several ids: one batch, without the nulls',
      (s) => s.several(['1', null, 2]),
      { action: 'Batch', entityIds: ['user:1', 'user:2'] },
    ],
    [
      'a list of one: still a batch',
      (s) => s.several(['1']),
      { action: 'Batch', entityIds: ['user:1'] },
    ],
    ['an empty list: nothing', (s) => s.several([]), null],
    ['a list of nulls: nothing', (s) => s.several([null, null]), null],
    ['null: nothing', (s) => s.perhaps(null), null],
    ['undefined: nothing', (s) => s.perhaps(undefined), null],
    ['when it holds', (s) => s.when('1', true), { entityId: '1' }],
    ['when it does not: nothing', (s) => s.when('1', false), null],
    [
      'when the result holds',
      (s) => s.whenResult('1', true),
      { entityId: '1' },
    ],
    [
      'when the result does not: nothing',
      (s) => s.whenResult('1', false),
      null,
    ],
    [
      'an update with metadata',
      (s) => s.updated('1'),
      { action: 'Update', entityId: '1', metadata: { reason: 'renamed' } },
    ],
    [
      'metadata of the arguments',
      (s) => s.withMetadata(['1', '2']),
      { action: 'Batch', metadata: { count: 2 } },
    ],
  ])('%s', async (_what, call, expected) => {
    const { service, recorder } = await startWith(Selecting);

    await call(service);

    expect(recorder.published).toHaveLength(expected === null ? 0 : 1);
    expect(recorder.published).toMatchObject(
      expected === null ? [] : [expected],
    );
  });
});

describe('@InvalidatesCachePattern(): selected patterns', () => {
  class Patterns {
    @InvalidatesCachePattern('feed:*')
    async fixed(): Promise<void> {}

    @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
    async byArgument(_id: string): Promise<void> {}

    @InvalidatesCachePattern(fromResult((user: User) => `feed:${user.id}:*`))
    async byResult(): Promise<User> {
      return { id: '3', name: 'Ada' };
    }

    @InvalidatesCachePattern((ids: (string | null)[]) => ids)
    async several(_globs: (string | null)[]): Promise<void> {}

    @InvalidatesCachePattern(() => null)
    async none(): Promise<void> {}

    @InvalidatesCachePattern('feed:*', { when: (on: boolean) => on })
    async when(_on: boolean): Promise<void> {}

    @InvalidatesCachePattern('feed:*', { metadata: (why: string) => ({ why }) })
    async withMetadata(_why: string): Promise<void> {}
  }

  it.each<[string, (service: Patterns) => Promise<unknown>, object[]]>([
    [
      'a fixed pattern',
      (s) => s.fixed(),
      [{ action: 'Pattern', pattern: 'feed:*', metadata: null }],
    ],
    ['an argument', (s) => s.byArgument('42'), [{ pattern: 'feed:42:*' }]],
    ['the result', (s) => s.byResult(), [{ pattern: 'feed:3:*' }]],
    [
      'several, in order, without the nulls',
      (s) => s.several(['a:*', null, 'b:*']),
      [{ pattern: 'a:*' }, { pattern: 'b:*' }],
    ],
    ['none', (s) => s.none(), []],
    ['when it holds', (s) => s.when(true), [{ pattern: 'feed:*' }]],
    ['when it does not', (s) => s.when(false), []],
    [
      'metadata of the arguments',
      (s) => s.withMetadata('x'),
      [{ pattern: 'feed:*', metadata: { why: 'x' } }],
    ],
  ])('%s', async (_what, call, expected) => {
    const { service, recorder } = await startWith(Patterns);

    await call(service);

    expect(recorder.published).toMatchObject(expected);
  });
});

describe('@InvalidatesCache(): time of the invalidation', () => {
  class Timing {
    readonly source = new Subject<User>();
    finish: () => void = () => {};

    @InvalidatesCache('User', (id: string) => id)
    async slow(_id: string): Promise<void> {
      await new Promise<void>((resolve) => (this.finish = resolve));
    }

    @InvalidatesCache('User', (id: string) => id)
    sync(id: string): string {
      return id;
    }

    @InvalidatesCache('User', fromResult((user: User | undefined) => user?.id))
    observable(): Observable<User> {
      return this.source.asObservable();
    }

    @InvalidatesCache('User', () => 'never')
    async rejects(error: unknown): Promise<void> {
      throw error;
    }

    @InvalidatesCache('User', () => 'never')
    throws(error: unknown): void {
      throw error;
    }

    @InvalidatesCache('User', () => 'never')
    fails(error: unknown): Observable<User> {
      return throwError(() => error);
    }

    @InvalidatesCache('User', () => 'never')
    endless(): Observable<never> {
      return NEVER;
    }

    @InvalidatesCache('User', (id: string) => id)
    cold(id: string): Observable<string> {
      return of(id);
    }
  }

  it('publishes after the promise resolves, before the caller continues', async () => {
    const { service, recorder, app } = await startWith(Timing);
    const heard: (string | null)[] = [];
    app
      .get(InvalidationSubscriber)
      .messages$.subscribe(({ entityId }) => heard.push(entityId));

    const running = service.slow('1');
    await settled(app);
    expect(recorder.published).toEqual([]);
    service.finish();
    await running;

    expect(heard).toEqual(['1']);
    expect(recorder.published).toMatchObject([{ entityId: '1' }]);
  });

  it('delivers to this instance before a synchronous method returns', async () => {
    const { service, recorder, app } = await startWith(Timing);
    const heard: (string | null)[] = [];
    app
      .get(InvalidationSubscriber)
      .messages$.subscribe(({ entityId }) => heard.push(entityId));

    expect(service.sync('1')).toBe('1');

    expect(heard).toEqual(['1']);
    await settled(app);
    expect(recorder.published).toMatchObject([{ entityId: '1' }]);
    expect(heard).toEqual(['1']);
  });

  it('publishes when an Observable completes, with its last value as the result', async () => {
    const { service, recorder, app } = await startWith(Timing);
    const values = lastValueFrom(service.observable().pipe(toArray()));

    service.source.next({ id: '1', name: 'Ada' });
    service.source.next({ id: '2', name: 'Bob' });
    await settled(app);
    expect(recorder.published).toEqual([]);
    service.source.complete();

    expect(await values).toEqual([
      { id: '1', name: 'Ada' },
      { id: '2', name: 'Bob' },
    ]);
    expect(recorder.published).toMatchObject([{ entityId: '2' }]);
  });

  it('publishes at each completion of each subscription to an Observable', async () => {
    const { service, recorder } = await startWith(Timing);
    const cold = service.cold('1');
    expect(recorder.published).toEqual([]);

    await lastValueFrom(of(1, 2).pipe(concatMap(() => cold)));

    expect(recorder.published).toHaveLength(2);
  });

  it('publishes nothing when an Observable completes without a value as the result', async () => {
    const { service, recorder, app } = await startWith(Timing);
    const completed = vi.fn();
    service.observable().subscribe({ complete: completed });

    service.source.complete();
    await settled(app);

    expect(completed).toHaveBeenCalledOnce();
    expect(recorder.published).toEqual([]);
  });

  it('publishes nothing after a rejection, and rejects with the same error', async () => {
    const { service, recorder, app } = await startWith(Timing);
    const error = new Error('no such user');

    await expect(service.rejects(error)).rejects.toBe(error);
    await expect(service.rejects(undefined)).rejects.toBe(undefined);

    await settled(app);
    expect(recorder.published).toEqual([]);
  });

  it('publishes nothing after a throw, and throws the same error', async () => {
    const { service, recorder, app } = await startWith(Timing);
    const thrown = { not: 'an Error' };
    let caught: unknown;

    try {
      service.throws(thrown);
    } catch (error) {
      caught = error;
    }

    expect(caught).toBe(thrown);
    await settled(app);
    expect(recorder.published).toEqual([]);
  });

  it('publishes nothing after the error of an Observable, and passes the same error on', async () => {
    const { service, recorder, app } = await startWith(Timing);
    const error = new Error('no such user');

    await expect(lastValueFrom(service.fails(error))).rejects.toBe(error);

    await settled(app);
    expect(recorder.published).toEqual([]);
  });

  it('publishes when an Observable is unsubscribed early', async () => {
    const { service, recorder, app } = await startWith(Timing);
    service.endless().subscribe().unsubscribe();
    await settled(app);
    expect(recorder.published).toMatchObject([{ entityId: 'never' }]);
    const subscription = service.observable().subscribe();
    service.source.next({ id: '1', name: 'Ada' });

    subscription.unsubscribe();
    service.source.complete();

    await settled(app);
    expect(recorder.published.slice(1)).toMatchObject([{ entityId: '1' }]);
  });

  it('publishes when the first value is taken, from a synchronous source too', async () => {
    const { service, recorder, app } = await startWith(Timing);

    expect(await firstValueFrom(service.cold('1'))).toBe('1');

    await settled(app);
    expect(recorder.published).toMatchObject([{ entityId: '1' }]);
  });

  it('widens to the type when an Observable is unsubscribed before the result is known', async () => {
    const { service, recorder, app } = await startWith(Timing);

    service.observable().subscribe().unsubscribe();

    await settled(app);
    expect(recorder.published).toMatchObject([{ pattern: 'user:*' }]);
  });
});

describe('@InvalidatesCache(): arguments, results and errors', () => {
  class Passing {
    readonly secret = 'this';

    @InvalidatesCache('User', () => '1')
    async object(): Promise<object> {
      return RESULT;
    }

    @InvalidatesCache('User', () => '1')
    syncObject(): object {
      return RESULT;
    }

    @InvalidatesCache('User', () => '1')
    who(): unknown {
      return this;
    }

    @InvalidatesCache('User', () => '1')
    given(...args: unknown[]): unknown[] {
      return args;
    }

    @InvalidatesCache('User', () => '1')
    thenable(): PromiseLike<object> {
      return { then: (resolve) => Promise.resolve(RESULT).then(resolve) };
    }

    @InvalidatesCache('User', () => 'never')
    failingThenable(): PromiseLike<never> {
      return {
        then: (resolve, reject) => Promise.reject(ERROR).then(resolve, reject),
      };
    }
  }

  const RESULT = { large: 'object' };
  const ERROR = new Error('refused');

  it('returns the same result object', async () => {
    const { service } = await startWith(Passing);

    expect(await service.object()).toBe(RESULT);
    expect(service.syncObject()).toBe(RESULT);
  });

  it('passes `this` and every argument', async () => {
    const { service } = await startWith(Passing);
    const given = ['a', undefined, RESULT, null];

    expect(service.who()).toBe(service);
    expect(service.given(...given)).toEqual(given);
    expect(service.given()).toEqual([]);
  });

  it('awaits a thenable', async () => {
    const { service, recorder } = await startWith(Passing);

    expect(await service.thenable()).toBe(RESULT);
    expect(recorder.published).toHaveLength(1);
    await expect(service.failingThenable()).rejects.toBe(ERROR);
    expect(recorder.published).toHaveLength(1);
  });

  it('returns the result when the module is disabled', async () => {
    const { app, recorder, logs } = await startApp({
      providers: [Passing],
      options: { enabled: false },
    });
    const service = app.get(Passing);

    expect(await service.object()).toBe(RESULT);
    expect(service.syncObject()).toBe(RESULT);

    expect(recorder.published).toEqual([]);
    expect(logs.of('warn')).toEqual([]);
  });
});

describe('Stacked decorators', () => {
  class Stacked {
    @InvalidatesCache('User', (id: string) => id)
    @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
    @InvalidatesCache('Post', (id: string) => [`${id}-1`, `${id}-2`])
    async remove(_id: string): Promise<void> {}

    @InvalidatesCache('User', (id: string) => id)
    @InvalidatesCache('Feed', (id: string) => id)
    sync(_id: string): void {}

    @InvalidatesCache('User', (id: string) => id)
    @InvalidatesCache('Feed', (id: string) => id)
    cold(id: string): Observable<string> {
      return of(id);
    }

    @InvalidatesCache('User', (id: string) => id)
    @InvalidatesCache('Feed', () => {
      throw new Error('no feed');
    })
    @InvalidatesCache('Post', (id: string) => id)
    async oneBroken(_id: string): Promise<string> {
      return 'kept';
    }
  }

  const inOrder = [
    { entityType: 'User', entityId: '1' },
    { entityType: 'Feed', entityId: '1' },
  ];

  it('publish in the order they are written, in one call', async () => {
    const { app, service, recorder } = await startWith(Stacked);
    const publish = vi.spyOn(app.get(InvalidationTransport), 'publish');

    await service.remove('1');

    expect(recorder.published).toMatchObject([
      { entityType: 'User', entityId: '1' },
      { pattern: 'feed:1:*' },
      { entityIds: ['post:1-1', 'post:1-2'] },
    ]);
    expect(publish).toHaveBeenCalledOnce();
    expect(publish.mock.calls[0]?.[0]).toHaveLength(3);
  });

  it('publish in one call after a synchronous method', async () => {
    const { app, service, recorder } = await startWith(Stacked);
    const publish = vi.spyOn(app.get(InvalidationTransport), 'publish');

    service.sync('1');
    await settled(app);

    expect(recorder.published).toMatchObject(inOrder);
    expect(publish).toHaveBeenCalledOnce();
  });

  it('publish in one call after an Observable', async () => {
    const { app, service, recorder } = await startWith(Stacked);
    const publish = vi.spyOn(app.get(InvalidationTransport), 'publish');

    await lastValueFrom(service.cold('1'));

    expect(recorder.published).toMatchObject(inOrder);
    expect(publish).toHaveBeenCalledOnce();
  });

  it('publish the others when one fails', async () => {
    const { app, service, recorder } = await startWith(Stacked);

    expect(await service.oneBroken('1')).toBe('kept');

    expect(recorder.published.map(({ entityType }) => entityType)).toEqual(
      expect.arrayContaining(['User', 'Post', 'pattern']),
    );
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(1);
  });

  it('call the method once', async () => {
    const run = vi.fn();
    class Counting {
      @InvalidatesCache('User', () => '1')
      @InvalidatesCache('Post', () => '1')
      async save(): Promise<void> {
        run();
      }
    }
    const { service } = await startWith(Counting);

    await service.save();

    expect(run).toHaveBeenCalledOnce();
  });
});

describe('A decorator whose selector fails', () => {
  const MISTAKE = new Error('mistake');
  const broken = (): never => {
    throw MISTAKE;
  };

  class Broken {
    @InvalidatesCache('User', broken)
    async selector(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', broken)
    sync(): string {
      return 'result';
    }

    @InvalidatesCache('User', broken)
    cold(): Observable<string> {
      return of('result');
    }

    @InvalidatesCache('User', () => '1', { when: broken })
    async when(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => '1', { metadata: broken })
    async metadata(): Promise<string> {
      return 'result';
    }

    @InvalidatesCachePattern(broken)
    async pattern(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => '')
    async emptyId(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => ['1', ''])
    async oneBadOfMany(): Promise<string> {
      return 'result';
    }

    // @ts-expect-error -- an id, not a promise of one
    @InvalidatesCache('User', async () => broken())
    async rejects(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => Number.NaN)
    async notANumber(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => '1', { metadata: { big: 1n } })
    async notJson(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => '1', { metadata: { big: 1n } })
    syncNotJson(): string {
      return 'result';
    }

    @InvalidatesCachePattern('*')
    async everything(): Promise<string> {
      return 'result';
    }
  }

  const type = { pattern: 'user:*' };
  const all = { pattern: '*' };
  const exact = { entityType: 'User', entityId: '1', metadata: null };

  it.each<[keyof Broken, RegExp, object[]]>([
    ['selector', /mistake/, [type]],
    ['sync', /mistake/, [type]],
    ['when', /mistake/, [exact]],
    ['metadata', /mistake/, [exact]],
    ['pattern', /mistake/, [all]],
    ['emptyId', /"" is not an entity id/, [type]],
    [
      'oneBadOfMany',
      /"" is not an entity id/,
      [{ entityIds: ['user:1'] }, type],
    ],
    ['notANumber', /NaN is not an entity id/, [type]],
    ['rejects', /returned a promise/, [type]],
    ['notJson', /metadata cannot be sent/, [exact]],
    ['syncNotJson', /metadata cannot be sent/, [exact]],
    ['everything', /invalidateAll\(\)/, [all]],
  ])(
    '%s: the method succeeds; the error is logged and counted, and the message widened',
    async (method, why, said) => {
      const { app, service, recorder, logs } = await startWith(Broken);
      const errors: CacheInvalidationError[] = [];
      app.get(InvalidationSubscriber).errors$.subscribe((e) => errors.push(e));

      expect(await service[method]()).toBe('result');

      await settled(app);
      expect(recorder.published).toMatchObject(said);
      expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(1);
      expect(errors).toMatchObject([
        {
          code: 'CACHE_INVALIDATION_HANDLER_FAILED',
          source: `Broken.${method}`,
        },
      ]);
      expect(logs.of('error')).toEqual([
        expect.stringMatching(new RegExp(`^Broken\\.${method} .*`)),
      ]);
      expect(logs.of('error')[0]).toMatch(why);
    },
  );

  it('throws at decoration time for a generator method', () => {
    expect(() => {
      class Lazy {
        @InvalidatesCache('User', () => '1')
        async *rows(): AsyncGenerator<number> {
          yield 1;
        }
      }
      return Lazy;
    }).toThrow(/Lazy\.rows is a generator/);
  });

  it('reports the cause', async () => {
    const { app, service } = await startWith(Broken);
    const errors: CacheInvalidationError[] = [];
    app.get(InvalidationSubscriber).errors$.subscribe((e) => errors.push(e));

    await service.selector();

    expect(errors[0]?.cause).toBe(MISTAKE);
  });

  it('does not affect an Observable', async () => {
    const { app, service } = await startWith(Broken);

    expect(await lastValueFrom(service.cold())).toBe('result');

    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(1);
  });

  it('does not affect the method when the error cannot be described', async () => {
    class Odd {
      @InvalidatesCache('User', () => {
        throw Object.create(null);
      })
      async save(): Promise<string> {
        return 'result';
      }
    }
    const { service } = await startWith(Odd);

    expect(await service.save()).toBe('result');
  });

  it('is reported for a method that finishes after the shutdown', async () => {
    class Late {
      finish: () => void = () => {};

      @InvalidatesCache('User', () => '1')
      async save(): Promise<string> {
        await new Promise<void>((resolve) => (this.finish = resolve));
        return 'result';
      }
    }
    const { app, logs } = await startApp({
      providers: [Late],
      options: { shutdownTimeout: 50 },
    });
    const service = app.get(Late);
    const running = service.save();
    await app.close();
    expect(logs.of('error')).toEqual([
      expect.stringMatching(/: 1 decorated call \(User\)\. .* lost/),
    ]);

    service.finish();

    expect(await running).toBe('result');
    expect(logs.of('error').slice(1)).toEqual([
      expect.stringMatching(/cannot be sent/),
    ]);
  });
});

describe('Signature of a decorated method', () => {
  const mark =
    (key: string) => (_: object, __: string, d: PropertyDescriptor) =>
      Reflect.defineMetadata(key, key, d.value as object);

  class Marked {
    @mark('above')
    @InvalidatesCache('User', (id: string) => id)
    @mark('between')
    @InvalidatesCachePattern('feed:*')
    @mark('below')
    async rename(_id: string, _name: string): Promise<void> {}

    @InvalidatesCache('User', () => '1')
    async withDefault(_id: string, _name = 'x'): Promise<void> {}
  }

  it('keeps name, length and metadata', () => {
    const { rename, withDefault } = Marked.prototype;

    expect(rename.name).toBe('rename');
    expect(rename.length).toBe(2);
    expect(withDefault.length).toBe(1);
    expect(new Set(Reflect.getMetadataKeys(rename))).toEqual(
      new Set(['above', 'below', 'between']),
    );
  });

  it('keeps the property descriptor', () => {
    const descriptor = Object.getOwnPropertyDescriptor(
      Marked.prototype,
      'rename',
    );

    expect(descriptor).toMatchObject({
      enumerable: false,
      configurable: true,
      writable: true,
    });
  });

  it('keeps a decorator between two of ours in its place', async () => {
    const calls: string[] = [];
    const log = (_: object, __: string, descriptor: PropertyDescriptor) => {
      const original = descriptor.value as (id: string) => Promise<void>;
      descriptor.value = async function (this: unknown, id: string) {
        calls.push('before');
        await original.call(this, id);
        calls.push('after');
      };
    };
    @Injectable()
    class Wrapped {
      @InvalidatesCache('User', (id: string) => id)
      @log
      @InvalidatesCache('Post', (id: string) => id)
      async save(_id: string): Promise<void> {
        calls.push('run');
      }
    }
    const { service, recorder } = await startWith(Wrapped);

    await service.save('1');

    expect(calls).toEqual(['before', 'run', 'after']);
    expect(recorder.published).toMatchObject([
      { entityType: 'Post' },
      { entityType: 'User' },
    ]);
  });
});

describe('A target that cannot be decorated throws', () => {
  it('for an accessor', () => {
    const decorate = InvalidatesCache('User', () => '1') as MethodDecorator;
    class Accessor {
      get user(): string {
        return '1';
      }
    }

    expect(() =>
      decorate(
        Accessor.prototype,
        'user',
        Object.getOwnPropertyDescriptor(Accessor.prototype, 'user')!,
      ),
    ).toThrow(/Accessor\.user is not a method/);
  });

  // Nest creates no instance for a static method, so it could never invalidate
  // anything.
  it('for a static method', () => {
    expect(() => {
      class Static {
        @InvalidatesCache('User', (id: string) => id)
        static async save(_id: string): Promise<void> {}
      }
      return Static;
    }).toThrow(/Static\.save is static/);
  });
});

describe('Invalid arguments of a decorator throw', () => {
  // Values as a circular import or plain JavaScript may pass them.
  const untyped = (value: unknown): never => value as never;
  const id = (): string => '1';

  it.each<[string, () => unknown, RegExp]>([
    [
      'a type with a colon',
      () => InvalidatesCache('shop:order', id),
      /"shop:o/,
    ],
    ['no type', () => InvalidatesCache(untyped(undefined), id), /undefined is/],
    ['an empty type', () => InvalidatesCache('', id), /"" is not an entity/],
    ['a lone surrogate', () => InvalidatesCache('a\ud800', id), /well-formed/],
    [
      'no selector',
      () => InvalidatesCache('User', untyped(undefined)),
      /select/,
    ],
    [
      'an id instead of a selector',
      () => InvalidatesCache('User', untyped('1')),
      /sel/,
    ],
    [
      'an unknown action',
      () => InvalidatesCache('User', id, { action: untyped('Remove') }),
      /"Remove" is not an action/,
    ],
    [
      'an invalid condition',
      () => InvalidatesCache('User', id, { when: untyped(true) }),
      /true is not a condition/,
    ],
    [
      'no pattern',
      () => InvalidatesCachePattern(untyped(undefined)),
      /selector/,
    ],
    ['an empty pattern', () => InvalidatesCachePattern(''), /not a pattern/],
    [
      'a pattern too long',
      () => InvalidatesCachePattern('a'.repeat(2_000)),
      /2000 characters/,
    ],
    [
      'no type to handle',
      () => OnInvalidation([untyped(undefined)]),
      /undefined/,
    ],
    ['null to handle', () => OnInvalidation(untyped(null)), /null is not/],
    ['a type without a name', () => OnInvalidation(''), /"" is not an entity/],
    ['a type to cache', () => Cached('shop:order', id), /"shop:order" is not/],
  ])('%s', (_what, decorate, why) => {
    expect(decorate).toThrow(why);
  });

  // Services in other languages may name their types as they like.
  it('but @OnInvalidation() accepts types with a colon', () => {
    expect(() => OnInvalidation('shop:order')).not.toThrow();
  });
});

describe('Errors after the commit do not reach the caller', () => {
  class Committed {
    @InvalidatesCache('User', () => {
      throw Object.assign(new Error(), { message: { not: 'text' } });
    })
    async oddError(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => {
      throw new Error('mistake');
    })
    sync(): string {
      return 'result';
    }

    @InvalidatesCache('User', () => '1')
    trap(): object {
      return TRAP;
    }
  }

  const TRAP = {
    get then(): never {
      throw new Error('trap');
    },
  };

  it('when the error is not an Error, and its type is invalidated', async () => {
    const { service, recorder } = await startWith(Committed);

    expect(await service.oddError()).toBe('result');

    expect(recorder.published).toMatchObject([{ pattern: 'user:*' }]);
  });

  it('when the result throws on access', async () => {
    const { app, service, recorder } = await startWith(Committed);

    expect(service.trap()).toBe(TRAP);

    await settled(app);
    expect(recorder.published).toMatchObject([{ entityId: '1' }]);
  });

  it('when the logger throws', async () => {
    const { app, service, recorder, logs } = await startWith(Committed);
    vi.spyOn(logs, 'error').mockImplementation(() => {
      throw new Error('the disk is full');
    });

    expect(service.sync()).toBe('result');

    await settled(app);
    expect(recorder.published).toMatchObject([{ pattern: 'user:*' }]);
  });

  it('when the decorator itself fails, and everything is invalidated', async () => {
    const { app, recorder } = await startApp();
    const publisher = app.get(MethodPublisher, { strict: false });
    const invalidation = (make: () => Invalidation[]) => ({
      evenIfFails: false,
      ask: () => ({ when: null, selected: null, metadata: null }),
      make,
    });
    const broken = invalidation(() => {
      throw new Error('broken');
    });
    const one = invalidation(() => [entity('User', '1')]);
    const call = (...invalidations: MethodInvalidation[]) => {
      const method = { name: 'A.b', invalidations, subjects: [] };
      return new DecoratedCall(publisher, method, null, []);
    };

    await call(broken).succeeded(null, { wait: true });
    await call(one, broken).succeeded(null, { wait: true });
    void call(broken).succeeded(null, { wait: false });
    await settled(app);

    const all = { pattern: '*' };
    expect(recorder.published).toMatchObject([
      all,
      { entityId: '1' },
      all,
      all,
    ]);
  });
});

describe('An invalidation that is larger than maxMessageBytes', () => {
  const HUGE = 'x'.repeat(5_000_000);
  const LONG = 'y'.repeat(3_900);

  class Large {
    @InvalidatesCache('User', (id: string) => id)
    async one(_id: string): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', (id: string) => id)
    sync(_id: string): string {
      return 'result';
    }

    @InvalidatesCache('Post', (id: string) => id, {
      action: 'Update',
      metadata: { reason: 'renamed' },
    })
    async withMetadata(_id: string): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('User', () => '1', { metadata: { HUGE } })
    async largeMetadata(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache('a*b', (ids: string[]) => ids)
    async several(_ids: string[]): Promise<string> {
      return 'result';
    }

    @InvalidatesCache(LONG, () => '1')
    async longType(): Promise<string> {
      return 'result';
    }

    @InvalidatesCache(LONG, () => '1')
    syncLongType(): string {
      return 'result';
    }
  }

  it.each<[string, (service: Large) => unknown, object]>([
    ['an id: its type', (s) => s.one(HUGE), { pattern: 'user:*' }],
    [
      'an id of a synchronous method: its type',
      (s) => s.sync(HUGE),
      { pattern: 'user:*' },
    ],
    [
      'an id with metadata: its type',
      (s) => s.withMetadata(HUGE),
      { pattern: 'post:*' },
    ],
    ['metadata: without it', (s) => s.largeMetadata(), { entityId: '1' }],
    [
      'one of several: their type, literally',
      (s) => s.several(['1', '2', HUGE]),
      { pattern: 'a\\*b:*' },
    ],
    ['the type itself: everything', (s) => s.longType(), { pattern: '*' }],
    [
      'the type of a synchronous method: everything',
      (s) => s.syncLongType(),
      { pattern: '*' },
    ],
  ])('%s', async (_what, call, expected) => {
    const { app, recorder, logs } = await startApp({
      providers: [Large],
      options: { maxMessageBytes: 4_096 },
    });
    const heard: InvalidationMessage[] = [];
    app.get(InvalidationSubscriber).messages$.subscribe((m) => heard.push(m));

    expect(await call(app.get(Large))).toBe('result');

    await settled(app);
    const said = [{ ...expected, metadata: null }];
    expect(recorder.published).toMatchObject(said);
    expect(heard).toMatchObject(said);
    expect(logs.of('error')).toEqual([expect.stringMatching(/coarser/)]);
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(1);
  });
});

describe('Nested decorated methods of one instance', () => {
  it('publish the inner invalidation before the outer one', async () => {
    @Injectable()
    class Nested {
      @Inject(InvalidationPublisher)
      private readonly publisher!: InvalidationPublisher;

      @InvalidatesCache('User', (id: string) => id)
      async outer(id: string): Promise<void> {
        await this.inner(id);
        await this.publisher.invalidateFeed(id);
      }

      @InvalidatesCache('Post', (id: string) => id)
      async inner(_id: string): Promise<void> {}
    }
    const { service, recorder } = await startWith(Nested);

    await service.outer('1');

    expect(recorder.published.map(({ entityType }) => entityType)).toEqual([
      'Post',
      'Feed',
      'User',
    ]);
  });
});
