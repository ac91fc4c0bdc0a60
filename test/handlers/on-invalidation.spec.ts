import { Controller, Injectable, Scope } from '@nestjs/common';
import {
  batch,
  entity,
  everything,
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
  OnInvalidation,
  pattern,
  type CacheInvalidationError,
  type EntityType,
  type Invalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { startApp } from '../testing/fakes/start-app.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** The part of a message that the tests compare. */
const gist = ({ action, entityId, entityIds, pattern: glob }: Invalidation) =>
  `${action} ${entityId ?? glob ?? entityIds?.join()}`;

/** Records the messages that it receives. */
abstract class Hearing {
  readonly heard: string[] = [];

  protected hear(message: InvalidationMessage): void {
    this.heard.push(gist(message));
  }
}

/** A handler that waits until the test opens the gate. */
class Gate {
  #open: () => void = () => {};
  entered = 0;

  async pass(): Promise<void> {
    this.entered++;
    await new Promise<void>((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open();
  }
}

describe('@OnInvalidation(): received messages', () => {
  const said: readonly Invalidation[] = [
    entity('User', 1),
    entity('User', 2, { action: 'Update' }),
    entity('Post', 3),
    entity('session', 'a'),
    batch(['user:4', 'session:b']),
    pattern('post:*'),
    pattern('user:*'),
    pattern('*:9'),
    everything(),
  ];
  const all = said.map(gist);

  async function hearing(
    ...args: [types?: EntityType | readonly EntityType[]]
  ): Promise<string[]> {
    @Injectable()
    class Cache extends Hearing {
      @OnInvalidation(...args)
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    const { app, broker } = await startApp({ providers: [Cache] });
    for (const one of said) broker.emit(one);
    await settled(app);
    return app.get(Cache).heard;
  }

  it('without a type: all', async () => {
    expect(await hearing()).toEqual(all);
    expect(await hearing([])).toEqual(all);
  });

  it('with a type: all that may affect it', async () => {
    expect(await hearing('User')).toEqual([
      'Delete 1',
      'Update 2',
      'Batch user:4,session:b',
      'Pattern user:*',
      'Pattern *:9',
      'Pattern *',
    ]);
  });

  it('with several types, a custom one included', async () => {
    expect(await hearing(['Post', 'session'])).toEqual([
      'Delete 3',
      'Delete a',
      'Batch user:4,session:b',
      'Pattern post:*',
      'Pattern *:9',
      'Pattern *',
    ]);
  });

  it('with a type that is never published: only messages that cover everything', async () => {
    expect(await hearing('Feed')).toEqual(['Pattern *:9', 'Pattern *']);
  });
});

describe('@OnInvalidation(): classes', () => {
  it('the publishing instance receives immediately, other instances too', async () => {
    @Injectable()
    class Cache {
      readonly own: boolean[] = [];

      @OnInvalidation('User')
      on({ own }: InvalidationMessage): void {
        this.own.push(own);
      }
    }
    const first = await startApp({ providers: [Cache] });
    const second = await startApp({
      providers: [Cache],
      broker: first.broker,
    });

    await first.app.get(InvalidationPublisher).invalidateUser(1);

    expect(first.app.get(Cache).own).toEqual([true]);
    await settled(first.app, second.app);
    expect(first.app.get(Cache).own).toEqual([true]);
    expect(second.app.get(Cache).own).toEqual([false]);
  });

  it('a controller', async () => {
    @Controller()
    class Users extends Hearing {
      @OnInvalidation()
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    const { app, broker } = await startApp({ controllers: [Users] });

    broker.emit(entity('User', 1));

    expect(app.get(Users).heard).toEqual(['Delete 1']);
  });

  it('every decorated method of a class', async () => {
    class Cache {
      readonly heard: string[] = [];

      @OnInvalidation('User')
      users(): void {
        this.heard.push('users');
      }

      @OnInvalidation('Post')
      posts(): void {
        this.heard.push('posts');
      }

      @OnInvalidation()
      all(): void {
        this.heard.push('all');
      }

      undecorated(): void {
        this.heard.push('undecorated');
      }
    }
    const { app, broker } = await startApp({ providers: [Cache] });

    broker.emit(entity('User', 1));

    expect(app.get(Cache).heard).toEqual(['users', 'all']);
  });

  it('an inherited method, and an override of it only if decorated', async () => {
    abstract class Base extends Hearing {
      @OnInvalidation()
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    class Inheriting extends Base {}
    class Silent extends Base {
      override on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    class Loud extends Base {
      @OnInvalidation('Post')
      override on(message: InvalidationMessage): void {
        super.on(message);
      }
    }
    const { app, broker } = await startApp({
      providers: [Inheriting, Silent, Loud],
    });

    broker.emit(entity('User', 1));
    broker.emit(entity('Post', 2));

    expect(app.get(Inheriting).heard).toEqual(['Delete 1', 'Delete 2']);
    expect(app.get(Silent).heard).toEqual([]);
    expect(app.get(Loud).heard).toEqual(['Delete 2']);
  });

  it('an instance under several tokens receives once', async () => {
    class Cache extends Hearing {
      @OnInvalidation()
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    const { app, broker } = await startApp({
      providers: [
        Cache,
        { provide: 'ALIAS', useExisting: Cache },
        {
          provide: 'FACTORY',
          inject: [Cache],
          useFactory: (cache: Cache) => cache,
        },
      ],
    });

    broker.emit(entity('User', 1));

    expect(app.get(Cache).heard).toEqual(['Delete 1']);
  });

  it('instances of useFactory, useValue and useClass', async () => {
    class Cache extends Hearing {
      @OnInvalidation()
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    const { app, broker } = await startApp({
      providers: [
        { provide: 'FACTORY', useFactory: () => new Cache() },
        { provide: 'ASYNC', useFactory: async () => new Cache() },
        { provide: 'VALUE', useValue: new Cache() },
        { provide: 'CLASS', useClass: Cache },
        { provide: 'PLAIN', useValue: { a: 1 } },
        { provide: 'BARE', useValue: Object.create(null) },
        { provide: 'NULL', useValue: null },
      ],
    });

    broker.emit(entity('User', 1));

    for (const token of ['FACTORY', 'ASYNC', 'VALUE', 'CLASS']) {
      expect(app.get<Cache>(token).heard).toEqual(['Delete 1']);
    }
  });

  it('a transient provider receives in each instance', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Cache extends Hearing {
      @OnInvalidation()
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    @Injectable()
    class First {
      constructor(readonly cache: Cache) {}
    }
    @Injectable()
    class Second {
      constructor(readonly cache: Cache) {}
    }
    const { app, broker, logs } = await startApp({
      providers: [Cache, First, Second],
    });

    broker.emit(entity('User', 1));

    expect(app.get(First).cache).not.toBe(app.get(Second).cache);
    expect(app.get(First).cache.heard).toEqual(['Delete 1']);
    expect(app.get(Second).cache.heard).toEqual(['Delete 1']);
    expect(logs.of('error')).toEqual([]);
  });

  it('a transient provider within a transient provider', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Inner extends Hearing {
      @OnInvalidation()
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    @Injectable({ scope: Scope.TRANSIENT })
    class Outer {
      constructor(readonly inner: Inner) {}
    }
    @Injectable()
    class Host {
      constructor(readonly outer: Outer) {}
    }
    const { app, broker } = await startApp({
      providers: [Inner, Outer, Host],
    });

    broker.emit(entity('User', 1));

    expect(app.get(Host).outer.inner.heard).toEqual(['Delete 1']);
  });
});

describe('@OnInvalidation(): option when', () => {
  /**
   * Messages that a handler of users receives with this condition, and the
   * state of the instance afterwards.
   */
  async function hearing(when: (message: InvalidationMessage) => boolean) {
    class Cache extends Hearing {
      @OnInvalidation('User', { when })
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    const { app, broker, logs } = await startApp({ providers: [Cache] });
    const errors: CacheInvalidationError[] = [];
    app.get(InvalidationSubscriber).errors$.subscribe((e) => errors.push(e));
    return { app, broker, logs, errors, heard: app.get(Cache).heard };
  }

  it('skips messages, and is called for its entity types only', async () => {
    const asked: string[] = [];
    const { app, broker, heard, errors } = await hearing((message) => {
      asked.push(gist(message));
      return message.metadata !== 'skip' && !message.own;
    });

    broker.emit(entity('User', 1, { metadata: 'skip' }));
    broker.emit(entity('Post', 2));
    broker.emit(entity('User', 3));
    await app.get(InvalidationPublisher).invalidateUser(4);

    expect(asked).toEqual(['Delete 1', 'Delete 3', 'Delete 4']);
    expect(heard).toEqual(['Delete 3']);
    expect(errors).toEqual([]);
  });

  it('rejects a value that is not a function', () => {
    const when = 'always' as unknown as () => boolean;
    expect(() => OnInvalidation('User', { when })).toThrow(
      /"always" is not a condition: give as `when` a function of the message/,
    );
  });

  it('is not called for widened messages', async () => {
    const { broker, heard } = await hearing(() => false);

    broker.emit(everything());
    expect(heard).toEqual([]);
    broker.emitRaw(
      JSON.stringify({
        message_id: randomUUID(),
        entity_type: 'User',
        action: 'Refresh',
        timestamp: new Date().toISOString(),
        source_service: 'newer',
      }),
    );
    expect(heard).toEqual(['Pattern user:*']);
  });

  it.each<[string, () => boolean, string]>([
    [
      'throws',
      () => {
        throw new Error('mistake');
      },
      'mistake',
    ],
    [
      'rejects',
      (() => Promise.reject(new Error('unheard'))) as unknown as () => boolean,
      'it returned a promise, but must be synchronous',
    ],
  ])(
    'that %s counts as true; the error is logged, counted and emitted',
    async (_how, when, mistake) => {
      const { app, broker, heard, errors, logs } = await hearing(when);

      broker.emit(entity('User', 1));
      broker.emit(entity('User', 2));
      await settled(app);

      expect(heard).toEqual(['Delete 1', 'Delete 2']);
      expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(2);
      expect(errors).toMatchObject([
        {
          code: 'CACHE_INVALIDATION_HANDLER_FAILED',
          source: 'Cache.on',
          cause: { message: mistake },
        },
        {},
      ]);
      expect(logs.of('error')).toEqual([
        `Cache.on has a condition that failed on an invalidation message: ${mistake}. It counts as true; correct the function given as \`when\`.`,
      ]);
    },
  );
});

describe('@OnInvalidation(): classes reported at startup', () => {
  it('request-scoped providers and controllers', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      @OnInvalidation()
      on(): void {}

      @OnInvalidation('User')
      other(): void {}
    }
    @Injectable()
    class ByDependency {
      constructor(readonly request: PerRequest) {}

      @OnInvalidation()
      on(): void {}
    }
    @Controller({ scope: Scope.REQUEST })
    class PerRequestController {
      @OnInvalidation()
      on(): void {}
    }
    class Fine {
      @OnInvalidation()
      on(): void {}
    }
    const { logs } = await startApp({
      providers: [PerRequest, ByDependency, Fine],
      controllers: [PerRequestController],
    });

    const named = logs
      .of('error')
      .map((line) => /on (\w+\.\w+) will never be called/.exec(line)?.[1]);
    expect(named).toEqual([
      'PerRequest.on',
      'PerRequest.other',
      'ByDependency.on',
      'PerRequestController.on',
    ]);
    expect(logs.of('error')[0]).toMatch(/Move the method to a singleton/);
  });

  it('a transient provider injected only into request-scoped ones', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Cache {
      @OnInvalidation()
      on(): void {}
    }
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {
      constructor(readonly cache: Cache) {}
    }
    const { logs } = await startApp({ providers: [Cache, PerRequest] });

    expect(logs.of('error')).toEqual([
      expect.stringMatching(/Cache\.on will never be called/),
    ]);
  });
});

describe('@OnInvalidation(): an asynchronous handler', () => {
  it('receives one message after another, in order', async () => {
    const gate = new Gate();
    class Slow extends Hearing {
      @OnInvalidation()
      async on(message: InvalidationMessage): Promise<void> {
        this.heard.push(`begin ${message.entityId}`);
        await gate.pass();
        this.heard.push(`end ${message.entityId}`);
      }
    }
    const { app, broker } = await startApp({ providers: [Slow] });
    const { heard } = app.get(Slow);

    for (const id of [1, 2, 3]) broker.emit(entity('User', id));
    expect(heard).toEqual(['begin 1']);
    for (const entered of [2, 3, 4]) {
      gate.open();
      await expect
        .poll(() => heard.length)
        .toBe(entered === 4 ? 6 : entered * 2 - 1);
    }

    expect(heard).toEqual([
      'begin 1',
      'end 1',
      'begin 2',
      'end 2',
      'begin 3',
      'end 3',
    ]);
  });

  it('does not delay other handlers, or the same method of another instance', async () => {
    const gate = new Gate();
    class Slow {
      @OnInvalidation()
      async on(): Promise<void> {
        await gate.pass();
      }
    }
    class Quick extends Hearing {
      @OnInvalidation()
      on(message: InvalidationMessage): void {
        this.hear(message);
      }
    }
    const { app, broker } = await startApp({ providers: [Slow, Quick] });

    for (const id of [1, 2, 3]) broker.emit(entity('User', id));

    expect(gate.entered).toBe(1);
    expect(app.get(Quick).heard).toEqual(['Delete 1', 'Delete 2', 'Delete 3']);
  });

  it('is awaited when it returns a thenable', async () => {
    const order: string[] = [];
    class Thenables {
      @OnInvalidation()
      on({ entityId }: InvalidationMessage): PromiseLike<void> {
        order.push(`begin ${entityId}`);
        return {
          then: (resolve) =>
            Promise.resolve()
              .then(() => {
                order.push(`end ${entityId}`);
              })
              .then(resolve),
        };
      }
    }
    const { app, broker } = await startApp({ providers: [Thenables] });

    for (const id of [1, 2]) broker.emit(entity('User', id));
    await settled(app);

    expect(order).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2']);
  });
});

describe('@OnInvalidation(): a handler that fails', () => {
  const MISTAKE = new Error('mistake');

  class Throwing extends Hearing {
    @OnInvalidation()
    refresh(message: InvalidationMessage): void {
      this.hear(message);
      throw MISTAKE;
    }
  }

  class Rejecting extends Hearing {
    @OnInvalidation()
    async refresh(message: InvalidationMessage): Promise<void> {
      this.hear(message);
      await Promise.resolve();
      throw MISTAKE;
    }
  }

  class Fine extends Hearing {
    @OnInvalidation()
    refresh(message: InvalidationMessage): void {
      this.hear(message);
    }
  }

  it.each([
    ['throws', Throwing],
    ['rejects', Rejecting],
  ])(
    'because it %s is logged, counted and emitted, and continues',
    async (_how, Failing) => {
      const { app, broker, logs } = await startApp({
        providers: [Failing, Fine],
      });
      const errors: CacheInvalidationError[] = [];
      app.get(InvalidationSubscriber).errors$.subscribe((e) => errors.push(e));

      for (const id of [1, 2, 3]) broker.emit(entity('User', id));
      await settled(app);

      const heard = ['Delete 1', 'Delete 2', 'Delete 3'];
      const source = `${Failing.name}.refresh`;
      expect(app.get<Hearing>(Failing).heard).toEqual(heard);
      expect(app.get(Fine).heard).toEqual(heard);
      expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(3);
      expect(errors).toHaveLength(3);
      expect(errors[0]).toMatchObject({
        code: 'CACHE_INVALIDATION_HANDLER_FAILED',
        source,
        cause: MISTAKE,
      });
      // One line a second; the others are held back.
      expect(logs.of('error')).toEqual([
        `${source} failed on an invalidation message: mistake. It continues with the next one.`,
      ]);
      const line = logs.lines.find(({ level }) => level === 'error');
      expect(line?.rest).toEqual([MISTAKE.stack, 'CacheInvalidation']);
    },
  );

  it('does not stop the stream or the publisher', async () => {
    const { app, broker } = await startApp({
      providers: [Throwing, Rejecting],
    });
    const heard: string[] = [];
    app
      .get(InvalidationSubscriber)
      .messages$.subscribe((message) => heard.push(gist(message)));

    broker.emit(entity('User', 1));
    const receipt = await app.get(InvalidationPublisher).invalidateUser(2);
    await settled(app);

    expect(receipt.status).toBe('delivered');
    expect(heard).toEqual(['Delete 1', 'Delete 2']);
  });

  it('reports a thrown value that is not an Error', async () => {
    class Odd {
      @OnInvalidation()
      on(): void {
        // oxlint-disable-next-line typescript/only-throw-error -- it is the subject
        throw 'a string';
      }
    }
    const { broker, logs } = await startApp({ providers: [Odd] });

    broker.emit(entity('User', 1));

    expect(logs.of('error')).toEqual([expect.stringMatching(/: a string\./)]);
  });

  // String() itself throws for such a value.
  it.each(['throws', 'rejects'])(
    'with an error that cannot be described (it %s) does not stop the stream',
    async (how) => {
      class Odd extends Hearing {
        @OnInvalidation()
        on(message: InvalidationMessage): unknown {
          this.hear(message);
          const odd: unknown = Object.create(null);
          if (how === 'rejects') return Promise.reject(odd);
          throw odd;
        }
      }
      const { app, broker } = await startApp({ providers: [Odd, Fine] });

      expect(() => broker.emit(entity('User', 1))).not.toThrow();
      broker.emit(entity('User', 2));

      const both = ['Delete 1', 'Delete 2'];
      expect(app.get(Fine).heard).toEqual(both);
      await expect.poll(() => app.get(Odd).heard).toEqual(both);
    },
  );
});

describe('@OnInvalidation(): a slow handler', () => {
  async function slow(handlerQueueLimit: number) {
    const gate = new Gate();
    class Slow {
      readonly heard: InvalidationMessage[] = [];

      @OnInvalidation('User')
      async on(message: InvalidationMessage): Promise<void> {
        this.heard.push(message);
        await gate.pass();
      }
    }
    const started = await startApp({
      providers: [Slow],
      options: { handlerQueueLimit },
    });
    const { heard } = started.app.get(Slow);
    const finish = async () => {
      const done = settled(started.app);
      let over = false;
      void done.then(() => (over = true));
      await expect
        .poll(() => {
          gate.open();
          return over;
        })
        .toBe(true);
    };
    return { ...started, gate, heard, finish };
  }

  it('receives every message up to the limit', async () => {
    const { app, broker, heard, finish } = await slow(3);

    for (const id of [1, 2, 3, 4]) broker.emit(entity('User', id));
    await finish();

    expect(heard.map(gist)).toEqual([
      'Delete 1',
      'Delete 2',
      'Delete 3',
      'Delete 4',
    ]);
    expect(heard.every(({ widened }) => widened === null)).toBe(true);
    expect(app.get(InvalidationStats).snapshot().widened).toBe(0);
  });

  it('receives one message that covers everything beyond the limit, then continues', async () => {
    const { app, broker, gate, heard, finish } = await slow(3);

    for (let id = 1; id <= 1_000; id++) broker.emit(entity('User', id));
    expect(heard.map(gist)).toEqual(['Delete 1']);
    gate.open();
    await expect.poll(() => gate.entered).toBe(2);
    // The handler is at work on "everything", and later messages come after that.
    broker.emit(entity('User', 'later'));
    await finish();

    expect(heard.map(gist)).toEqual(['Delete 1', 'Pattern *', 'Delete later']);
    expect(heard[1]).toMatchObject({
      widened: 'handler-overflow',
      entityType: 'pattern',
      entityId: null,
      entityIds: null,
    });
    expect(app.get(InvalidationStats).snapshot().widened).toBe(1);
  });

  it('can exceed the limit again', async () => {
    const { app, broker, gate, heard, finish } = await slow(1);

    for (const id of [1, 2, 3, 4]) broker.emit(entity('User', id));
    gate.open();
    await expect.poll(() => gate.entered).toBe(2);
    for (const id of [5, 6, 7]) broker.emit(entity('User', id));
    await finish();

    expect(heard.map(gist)).toEqual(['Delete 1', 'Pattern *', 'Pattern *']);
    expect(app.get(InvalidationStats).snapshot().widened).toBe(2);
  });

  it('does not queue messages of other types', async () => {
    const { broker, heard, finish } = await slow(1);

    broker.emit(entity('User', 1));
    for (let id = 1; id <= 100; id++) broker.emit(entity('Post', id));
    broker.emit(entity('User', 2));
    await finish();

    expect(heard.map(gist)).toEqual(['Delete 1', 'Delete 2']);
  });

  it('does not widen messages of other handlers', async () => {
    const { app, broker } = await slow(1);
    const heard: string[] = [];
    app
      .get(InvalidationSubscriber)
      .subscribe((message) => heard.push(gist(message)));

    for (const id of [1, 2, 3, 4]) broker.emit(entity('User', id));

    expect(heard).toEqual(['Delete 1', 'Delete 2', 'Delete 3', 'Delete 4']);
  });

  it('keeps no more than the limit in memory', async () => {
    const { app, broker, heard } = await slow(10);
    const delivered: WeakRef<InvalidationMessage>[] = [];
    app
      .get(InvalidationSubscriber)
      .messages$.subscribe((message) => delivered.push(new WeakRef(message)));

    for (let id = 1; id <= 1_000; id++) broker.emit(entity('User', id));

    expect(delivered).toHaveLength(1_000);
    await expect
      .poll(() => {
        collectGarbage();
        return delivered.filter((ref) => ref.deref() !== undefined).length;
      })
      .toBeLessThanOrEqual(10);
    expect(heard).toHaveLength(1);
  });
});
