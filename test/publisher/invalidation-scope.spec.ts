import { PassThrough } from 'node:stream';
import { Injectable, Logger } from '@nestjs/common';
import {
  entity,
  InvalidationPublisher,
  InvalidationScope,
  InvalidationStats,
  InvalidationSubscriber,
  OnInvalidation,
  type CacheInvalidationError,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import {
  concat,
  defer,
  firstValueFrom,
  from,
  ignoreElements,
  lastValueFrom,
  of,
  throwError,
  toArray,
  Observable,
} from 'rxjs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  OffsetScope,
  openScopes,
  PublisherShutdown,
  PublishPipeline,
  PublishQueue,
} from '../../lib/publisher/index.js';
import { said, startApp as startRedisApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startApp, type AppDescription } from '../testing/fakes/start-app.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const ROLLED_BACK = new Error('rolled back');
const { run, runNew } = InvalidationScope;

/** Messages that this instance received, and calls of the broker. */
async function start(description: AppDescription = {}) {
  const { app, recorder } = await startApp(description);
  const publisher = app.get(InvalidationPublisher);
  const heard: string[] = [];
  const errors: CacheInvalidationError[] = [];
  const subscriber = app.get(InvalidationSubscriber);
  subscriber.messages$.subscribe((message) => heard.push(said(message)));
  subscriber.errors$.subscribe((error) => errors.push(error));
  return {
    app,
    publisher,
    errors,
    stats: app.get(InvalidationStats),
    user: (id: string) => publisher.invalidate('User', id),
    /**
     * Messages of this instance and of the broker, which must be equal, once
     * nothing is under way.
     */
    async said(): Promise<string[]> {
      await settled(app);
      expect(heard).toEqual(recorder.published.map(said));
      return heard;
    },
    published: (): readonly InvalidationMessage[] => recorder.published,
  };
}

/** A gate that the test opens. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

describe('InvalidationScope.run()', () => {
  it('publishes nothing before the work has succeeded, then everything', async () => {
    const desk = await start();
    const result = await run(async () => {
      const receipts = await Promise.all([
        desk.user('1'),
        desk.publisher.invalidateBatch(['user:2', 'user:3']),
        desk.publisher.invalidatePattern('feed:1:*'),
        desk.publisher.invalidateBatch([]),
      ]);
      expect(receipts).toEqual([
        ...Array.from({ length: 3 }, () => ({
          status: 'deferred',
          messageId: null,
          receivers: null,
          offset: null,
        })),
        expect.objectContaining({ status: 'disabled' }),
      ]);
      expect(await desk.said()).toEqual([]);
      return 'committed';
    });
    expect(result).toBe('committed');
    // Awaited, like the result of a decorated method.
    expect(desk.published()).toHaveLength(3);
    expect(await desk.said()).toEqual(['User:1', 'user:2,user:3', 'feed:1:*']);
  });

  it('publishes equal invalidations once', async () => {
    const desk = await start();
    await run(async () => {
      await desk.user('1');
      await desk.user('2');
      await desk.user('1');
      await desk.publisher.invalidate('User', '1', { metadata: 'other' });
    });
    expect(await desk.said()).toEqual(['User:1', 'User:2', 'User:1']);
    expect(desk.published().map(({ metadata }) => metadata)).toEqual([
      null,
      null,
      'other',
    ]);
  });

  it('stamps messages after the commit', async () => {
    const desk = await start();
    await run(async () => {
      await desk.user('1');
      const held = Date.now();
      while (Date.now() <= held + 1) await new Promise(setImmediate);
      await runNew(() => desk.user('2'));
    });
    const [second, first] = desk.published();
    expect([second!.entityId, first!.entityId]).toEqual(['2', '1']);
    expect(first!.timestamp >= second!.timestamp).toBe(true);
  });

  it('discards its messages when the work throws, and rethrows the same error', async () => {
    const desk = await start();
    const failing = run(async () => {
      await desk.user('1');
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(() =>
      run(() => {
        void desk.user('2');
        throw ROLLED_BACK;
      }),
    ).toThrow(ROLLED_BACK);
    await desk.user('3');
    expect(await desk.said()).toEqual(['User:3']);
  });

  it('publishes messages from before keep() when the work throws', async () => {
    const desk = await start();
    const failing = run(async (keep) => {
      await desk.user('1');
      keep();
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(() =>
      run((keep) => {
        void desk.user('2');
        keep();
        throw ROLLED_BACK;
      }),
    ).toThrow(ROLLED_BACK);
    expect(await desk.said()).toEqual(['User:1', 'User:2']);
  });

  it('accepts synchronous work, and delivers to this instance before it returns', async () => {
    const desk = await start();
    let heard = 0;
    desk.app.get(InvalidationSubscriber).messages$.subscribe(() => heard++);
    const value = {};
    expect(
      run(() => {
        void desk.user('1');
        void desk.app
          .get(PublishPipeline, { strict: false })
          .publish(() => entity('User', 2), { wait: false });
        expect(heard).toBe(0);
        return value;
      }),
    ).toBe(value);
    expect(heard).toBe(2);
    expect(await desk.said()).toEqual(['User:1', 'User:2']);
  });

  it('accepts a thenable that runs only when it is awaited', async () => {
    const desk = await start();
    const query = async (): Promise<string> => {
      const { status } = await desk.user('1');
      expect(await desk.said()).toEqual([]);
      return status;
    };
    const lazy: PromiseLike<string> = {
      // oxlint-disable-next-line unicorn/no-thenable -- as query builders do
      then: (resolve, reject) => query().then(resolve, reject),
    };
    expect(await run(() => lazy)).toBe('deferred');
    expect(await desk.said()).toEqual(['User:1']);
  });

  it('rejects an invalid invalidation immediately, and keeps the others', async () => {
    const desk = await start({ options: { maxMessageBytes: 4_096 } });
    await run(async () => {
      await desk.user('1');
      await expect(desk.user('')).rejects.toThrow('id');
      const metadata = 'x'.repeat(8_000);
      await expect(
        desk.publisher.invalidate('User', '2', { metadata }),
      ).rejects.toThrow('bytes');
    });
    expect(await desk.said()).toEqual(['User:1']);
  });

  it('copies metadata at the time of the call', async () => {
    const desk = await start();
    await run(async () => {
      const metadata = { reason: 'moved' };
      await desk.publisher.invalidate('User', '1', { metadata });
      metadata.reason = 'changed later';
    });
    expect(desk.published()[0]!.metadata).toEqual({ reason: 'moved' });
  });

  it('publishes messages of an Observable from before keep() when it fails', async () => {
    const desk = await start();
    const work = run((keep) =>
      defer(async () => {
        await desk.user('1');
        keep();
        throw new Error('The answer to COMMIT was lost.');
      }),
    );
    await expect(lastValueFrom(work)).rejects.toThrow('was lost');
    expect(await desk.said()).toEqual(['User:1']);
  });

  it('unsubscribes from a synchronous source', async () => {
    let steps = 0;
    const source = new Observable<number>((observer) => {
      while (!observer.closed && steps < 1_000) observer.next(steps++);
    });
    await firstValueFrom(run(() => source));
    expect(steps).toBeLessThan(3);
  });

  it('rejects a generator function', () => {
    expect(() =>
      run(function* () {
        yield 1;
      }),
    ).toThrow(TypeError);
  });

  it('returns a disabled receipt when the module is disabled', async () => {
    const desk = await start({ options: { enabled: false } });
    const { status } = await run(() => desk.user('1'));
    expect(status).toBe('disabled');
  });
});

describe('InvalidationScope: limits', () => {
  it('collapses to entity types beyond outboxLimit, and counts the widening', async () => {
    const desk = await start({ options: { outboxLimit: 3 } });
    await run(async () => {
      for (const id of ['1', '2', '3']) await desk.user(id);
      await desk.publisher.invalidatePattern('feed:1:*');
      expect(desk.stats.snapshot().widened).toBe(1);
    });
    expect(await desk.said()).toEqual(['user:*', 'feed:*']);
  });

  it('counts the messages of a nested scope towards the limit of the outer scope', async () => {
    const desk = await start({ options: { outboxLimit: 3 } });
    await run(async () => {
      await desk.user('1');
      await desk.user('2');
      await run(async () => {
        await desk.user('3');
        await desk.user('4');
      });
    });
    expect(await desk.said()).toEqual(['user:*']);
  });

  it('splits a batch that does not fit in one message', async () => {
    const desk = await start({ options: { maxBatchSize: 2 } });
    await run(() =>
      desk.publisher.invalidateBatch(['user:1', 'user:2', 'user:3']),
    );
    expect(await desk.said()).toEqual(['user:1,user:2', 'user:3']);
  });
});

describe('InvalidationScope: nested', () => {
  it('passes its messages to the outer scope', async () => {
    const desk = await start();
    await run(async () => {
      await desk.user('1');
      await run(async () => {
        await desk.user('2');
        await desk.user('1');
      });
      expect(await desk.said()).toEqual([]);
      await desk.user('3');
    });
    expect(await desk.said()).toEqual(['User:1', 'User:2', 'User:3']);
  });

  it('discards only its own messages when a savepoint is rolled back', async () => {
    const desk = await start();
    await run(async () => {
      await desk.user('1');
      await run(async () => {
        await desk.user('2');
        throw ROLLED_BACK;
      }).catch(() => undefined);
      await desk.user('3');
    });
    expect(await desk.said()).toEqual(['User:1', 'User:3']);
  });

  it('discards its messages when the outer scope is rolled back', async () => {
    const desk = await start();
    const failing = run(async () => {
      await run(() => desk.user('1'));
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(await desk.said()).toEqual([]);
  });

  it('runNew() publishes independently of the outer scope', async () => {
    const desk = await start();
    const failing = run(async () => {
      await desk.user('1');
      await runNew(async () => {
        await desk.user('2');
        expect(await desk.said()).toEqual([]);
      });
      expect(await desk.said()).toEqual(['User:2']);
      await desk.user('3');
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(await desk.said()).toEqual(['User:2']);
  });
});

describe('InvalidationScope: concurrent publishers', () => {
  it('does not hold back messages from outside the scope or of another scope', async () => {
    const desk = await start();
    const [first, second] = [gate(), gate()];
    const committing = run(async () => {
      await desk.user('first');
      await first.opened;
      await desk.user('first, later');
    });
    const failing = run(async () => {
      await desk.user('second');
      await second.opened;
      throw ROLLED_BACK;
    });
    await desk.user('outside');
    expect(await desk.said()).toEqual(['User:outside']);
    second.open();
    await expect(failing).rejects.toBe(ROLLED_BACK);
    first.open();
    await committing;
    expect(await desk.said()).toEqual([
      'User:outside',
      'User:first',
      'User:first, later',
    ]);
  });

  it('publishes through each publisher when one scope spans two applications', async () => {
    const [one, two] = [await start(), await start()];
    await run(async () => {
      await one.user('1');
      await two.user('2');
      await one.user('3');
    });
    expect(await one.said()).toEqual(['User:1', 'User:3']);
    expect(await two.said()).toEqual(['User:2']);
  });
});

describe('InvalidationScope: a publish that the work did not await', () => {
  it('is published immediately after the scope has ended, committed or not', async () => {
    const desk = await start();
    const { open, opened } = gate();
    const late: Promise<unknown>[] = [];
    await run(async () => {
      late.push(opened.then(() => desk.user('1')));
    });
    await run(async () => {
      late.push(opened.then(() => desk.user('2')));
      throw ROLLED_BACK;
    }).catch(() => undefined);
    open();
    expect(await Promise.all(late)).toMatchObject([
      { status: 'delivered' },
      { status: 'delivered' },
    ]);
    expect(await desk.said()).toEqual(['User:1', 'User:2']);
  });

  it('is held back by the outer scope if that is still open', async () => {
    const desk = await start();
    const { open, opened } = gate();
    await run(async () => {
      let late!: Promise<unknown>;
      await run(async () => {
        late = opened.then(() => desk.user('1'));
      });
      open();
      expect(await late).toMatchObject({ status: 'deferred' });
      expect(await desk.said()).toEqual([]);
    });
    expect(await desk.said()).toEqual(['User:1']);
  });

  it('is published when the outer scope ended before the inner one', async () => {
    const desk = await start();
    const { open, opened } = gate();
    let inner!: Promise<unknown>;
    await run(async () => {
      inner = run(async () => {
        await desk.user('1');
        await opened;
      });
    });
    expect(await desk.said()).toEqual([]);
    open();
    await inner;
    expect(await desk.said()).toEqual(['User:1']);
  });
});

describe('InvalidationScope: an Observable', () => {
  const after = (work: () => Promise<unknown>): Observable<never> =>
    defer(() => from(work())).pipe(ignoreElements());

  it('opens a scope for each subscription, and publishes when it completes', async () => {
    const desk = await start();
    const values$ = run(() =>
      concat(
        of(1),
        after(() => desk.user('1')),
        after(async () => expect(await desk.said()).toEqual(before)),
        of(2),
      ),
    );
    let before: string[] = [];
    expect(await lastValueFrom(values$.pipe(toArray()))).toEqual([1, 2]);
    before = [...(await desk.said())];
    expect(before).toEqual(['User:1']);
    await lastValueFrom(values$);
    expect(await desk.said()).toEqual(['User:1', 'User:1']);
  });

  it('discards its messages on an error, and passes the same error on', async () => {
    const desk = await start();
    const values$ = run(() =>
      concat(
        after(() => desk.user('1')),
        throwError(() => ROLLED_BACK),
      ),
    );
    await expect(lastValueFrom(values$)).rejects.toBe(ROLLED_BACK);
    expect(await desk.said()).toEqual([]);
  });

  it('publishes when it is unsubscribed, and immediately before it is subscribed to', async () => {
    const desk = await start();
    const values$ = run(() => {
      void desk.user('1');
      return concat(
        after(() => desk.user('2')),
        of(1),
        new Promise<never>(() => {}),
      );
    });
    expect(await desk.said()).toEqual(['User:1']);
    expect(await firstValueFrom(values$)).toBe(1);
    await new Promise(setImmediate);
    expect(await desk.said()).toEqual(['User:1', 'User:2']);
  });
});

describe('InvalidationScope: messages published by the library', () => {
  it('publishStored() publishes immediately, because the row is committed', async () => {
    const desk = await start();
    const failing = run(async () => {
      const stored = desk.publisher.prepare(entity('User', 1));
      await desk.publisher.publishStored(stored);
      expect(await desk.said()).toEqual(['User:1']);
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
  });

  it('does not hold back messages of a handler that runs during the scope', async () => {
    @Injectable()
    class Feeds {
      constructor(private readonly publisher: InvalidationPublisher) {}

      @OnInvalidation('User')
      async rebuild(): Promise<void> {
        await this.publisher.invalidate('Feed', '1');
      }
    }
    const desk = await start({ providers: [Feeds] });
    const failing = run(async () => {
      const stored = desk.publisher.prepare(entity('User', 1));
      await desk.publisher.publishStored(stored);
      await settled(desk.app);
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(await desk.said()).toEqual(['User:1', 'Feed:1']);
  });

  it('publishes "everything" immediately after a loss in Redis', async () => {
    const desk = await start();
    const pipeline = desk.app.get(PublishPipeline, { strict: false });
    await run(async () => {
      await pipeline.publishEverything();
      expect(await desk.said()).toEqual(['*']);
    });
  });
});

describe('InvalidationScope: when publishing fails', () => {
  it('returns the result, and leaves the messages in the outbox', async () => {
    const { publisher, messages } = await startRedisApp({
      connection: 'redis://127.0.0.1:1',
      startupTimeout: 1,
      shutdownTimeout: 1,
    });
    const result = await run(async () => {
      await publisher.invalidate('User', '1');
      expect(publisher.pending).toBe(0);
      return 'committed';
    });
    expect(result).toBe('committed');
    expect(publisher.pending).toBe(1);
    expect(messages.map(said)).toEqual(['User:1']);
  });

  it('returns the result after the shutdown, and reports the lost messages', async () => {
    const desk = await start();
    const result = await run(async () => {
      await desk.user('1');
      await desk.app.get(PublisherShutdown, { strict: false }).run();
      return 'committed';
    });
    expect(result).toBe('committed');
    expect(
      run(() => {
        void desk.user('2').catch(() => undefined);
        return 'committed';
      }),
    ).toBe('committed');
    expect(desk.errors).toMatchObject([{ code: 'CACHE_INVALIDATION_REDIS' }]);
  });
});

it('InvalidationScope: sets the offset of the surrounding OffsetScope after the commit', async () => {
  const { publisher, context } = await startRedisApp();
  await context.get(OffsetScope).run(async (offset) => {
    await run(async () => {
      await publisher.invalidate('User', '1');
      expect(offset()).toBeNull();
    });
    expect(offset()).toBe(
      context.get(PublishQueue, { strict: false }).lastOffset,
    );
    expect(offset()).not.toBeNull();
  });
});

it('InvalidationScope: keeps concurrent scopes apart', async () => {
  const desk = await start();
  await Promise.all(
    Array.from({ length: 50 }, (_, index) =>
      run(async () => {
        await desk.user(`${index}`);
        await new Promise(setImmediate);
        if (index % 2 === 1) throw ROLLED_BACK;
      }).catch(() => undefined),
    ),
  );
  const even = Array.from({ length: 25 }, (_, index) => `User:${2 * index}`);
  expect((await desk.said()).toSorted()).toEqual(even.toSorted());
});

describe('InvalidationScope: streams and long-running work', () => {
  it('holds messages back until a returned stream has finished', async () => {
    const desk = await start();
    const stream = new PassThrough();

    expect(
      run(() => {
        void desk.user('1');
        return stream;
      }),
    ).toBe(stream);
    await settled(desk.app);
    expect(desk.published()).toEqual([]);
    stream.resume().end();

    await eventually(async () => expect(await desk.said()).toEqual(['User:1']));
  });

  it('holds messages back until a promised stream has finished, and discards them if it fails', async () => {
    const desk = await start();
    const failing = new PassThrough().on('error', () => {});
    const broken = new PassThrough();
    for (const [id, stream] of [
      ['failed', failing],
      ['gone', broken],
    ] as const) {
      await run(async () => {
        await desk.user(id);
        return stream;
      });
    }

    failing.destroy(ROLLED_BACK);
    broken.destroy();

    await eventually(async () =>
      expect(await desk.said()).toEqual(['User:gone']),
    );
  });

  it('rejects generators and async iterators', () => {
    expect(() => run(async function* () {})).toThrow(/generator/);
    expect(() => run(() => (async function* () {})())).toThrow(
      /cannot cover a value that is iterated later/,
    );
  });

  it.each([
    ['has succeeded', () => {}],
    [
      'was rolled back',
      () => {
        throw ROLLED_BACK;
      },
    ],
  ] as const)(
    'forgets synchronous work that %s, and does not take it for work that never settles',
    async (_outcome, end) => {
      const desk = await start();
      const warn = vi.spyOn(Logger.prototype, 'warn');
      const now = vi.spyOn(performance, 'now');
      onTestFinished(() => void vi.restoreAllMocks());
      try {
        run(() => {
          void desk.user('1');
          end();
        });
      } catch {
        // The work was rolled back.
      }

      now.mockReturnValue(performance.now() + 60_001);
      await run(() => desk.user('2'));

      expect(warn).not.toHaveBeenCalled();
    },
  );

  it('publishes after a minute while it is still open, and again at its end', async () => {
    const desk = await start();
    const { open, opened } = gate();
    const now = vi.spyOn(performance, 'now');
    onTestFinished(() => now.mockRestore());
    const stuck = run(async () => {
      await desk.user('1');
      await opened;
    });

    now.mockReturnValue(performance.now() + 60_001);
    await run(() => desk.user('2'));

    expect(await desk.said()).toEqual(['User:1', 'User:2']);
    open();
    await stuck;
    expect(await desk.said()).toEqual(['User:1', 'User:2', 'User:1']);
  });

  it.each([
    ['commits', () => {}, ['*']],
    [
      'is rolled back',
      () => {
        throw ROLLED_BACK;
      },
      [],
    ],
  ] as const)(
    'publishes the oldest scope early under too many open scopes, and everything only if it %s',
    async (_what, end, expected) => {
      const desk = await start();
      const { open, opened } = gate();
      const oldest = run(async () => {
        await desk.user('oldest');
        await opened;
        end();
      });
      // Without work of their own: thousands of real scopes take seconds.
      const crowd = Array.from({ length: 10_000 }, () => ({
        since: performance.now(),
        publishEarly: () => {},
        giveUp: () => {},
      }));
      for (const scope of crowd) {
        openScopes().begin();
        openScopes().holds(scope);
      }
      onTestFinished(() => {
        for (const scope of crowd) {
          openScopes().released(scope);
          openScopes().end();
        }
      });
      expect(await desk.said()).toEqual(['User:oldest']);

      open();
      await oldest.catch(() => {});

      expect((await desk.said()).slice(1)).toEqual(expected);
    },
  );
});
