import { Injectable } from '@nestjs/common';
import {
  affecting,
  batch,
  entity,
  everything,
  fromOthers,
  InjectInvalidationStream,
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
  ofEntity,
  pattern,
  type Invalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import type { MonoTypeOperatorFunction, Observable } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import { PublishPipeline } from '../../lib/publisher/index.js';
import { InvalidationStream } from '../../lib/stream/index.js';
import { eventually } from '../support/eventually.js';
import { startApp, type StartedApp } from '../testing/fakes/start-app.js';

const idOf = ({ entityId, pattern: glob, entityIds }: Invalidation) =>
  entityId ?? glob ?? entityIds?.join();

async function start(): Promise<
  StartedApp & { subscriber: InvalidationSubscriber }
> {
  const started = await startApp();
  return { ...started, subscriber: started.app.get(InvalidationSubscriber) };
}

/** An application whose connection can be broken for a moment. */
describe('InvalidationSubscriber.subscribe()', () => {
  it('receives every message', async () => {
    const { subscriber, broker } = await start();
    const heard: unknown[] = [];
    subscriber.subscribe((message) => heard.push(idOf(message)));

    broker.emit(entity('User', 1));
    broker.emit(pattern('post:*'));
    broker.emit(batch(['a:1', 'b:2']));

    expect(heard).toEqual(['1', 'post:*', 'a:1,b:2']);
  });

  it('with types: receives all that may affect them', async () => {
    const { subscriber, broker } = await start();
    const heard: unknown[] = [];
    subscriber.subscribe((message) => heard.push(idOf(message)), 'User', 'b');

    broker.emit(entity('User', 1));
    broker.emit(entity('Post', 2));
    broker.emit(pattern('post:*'));
    broker.emit(batch(['a:1', 'b:2']));
    broker.emit(everything());

    expect(heard).toEqual(['1', 'a:1,b:2', '*']);
  });

  it('calls a handler that publishes one message after another', async () => {
    const { app, subscriber, broker } = await start();
    const pipeline = app.get(PublishPipeline, { strict: false });
    const heard: string[] = [];
    subscriber.subscribe(async (message) => {
      const id = idOf(message);
      heard.push(`begin ${id}`);
      if (id === 'outer') {
        void pipeline.publish(() => entity('User', 'inner'), { wait: false });
      }
      await Promise.resolve();
      heard.push(`end ${id}`);
    });

    broker.emit(entity('User', 'outer'));
    broker.emit(entity('User', 'next'));
    await settled(app);

    expect(heard).toEqual(
      ['outer', 'inner', 'next'].flatMap((id) => [`begin ${id}`, `end ${id}`]),
    );
  });

  it('ends when a handler waits until all are idle', async () => {
    const { app, subscriber, broker } = await start();
    let waiting: Promise<void> | undefined;
    subscriber.subscribe(() => {
      waiting = app.get(InvalidationStream, { strict: false }).whenIdle();
    });

    broker.emit(entity('User', 1));

    await expect(waiting).resolves.toBeUndefined();
  });

  it('awaits a promise before the next message', async () => {
    const { app, subscriber, broker } = await start();
    const heard: unknown[] = [];
    subscriber.subscribe(async (message) => {
      heard.push(`begin ${idOf(message)}`);
      await new Promise((resolve) => setImmediate(resolve));
      heard.push(`end ${idOf(message)}`);
    });

    broker.emit(entity('User', 1));
    broker.emit(entity('User', 2));
    await settled(app);

    expect(heard).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2']);
  });

  it('logs an error with the name of the handler, and continues', async () => {
    const { app, subscriber, broker, logs } = await start();
    const heard: unknown[] = [];
    subscriber.subscribe(function refreshSearch(message) {
      heard.push(idOf(message));
      throw new Error('mistake');
    });
    subscriber.subscribe(
      (() => () => {
        throw new Error('mistake');
      })(),
    );

    broker.emit(entity('User', 1));
    broker.emit(entity('User', 2));

    expect(heard).toEqual(['1', '2']);
    expect(logs.of('error')).toEqual([
      expect.stringMatching(/^refreshSearch failed/),
      expect.stringMatching(/^A subscribed handler failed/),
    ]);
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(4);
  });

  it('continues when a result throws on access', async () => {
    const { app, subscriber, broker, logs } = await start();
    const heard: unknown[] = [];
    subscriber.subscribe((message) => {
      heard.push(idOf(message));
      return {
        get then(): never {
          throw new Error('trap');
        },
      };
    });

    // An exception would surface here, in the place of a socket's callback.
    broker.emit(entity('User', 1));
    broker.emit(entity('User', 2));
    await settled(app);

    expect(heard).toEqual(['1', '2']);
    expect(logs.of('error')).toEqual([expect.stringMatching(/trap/)]);
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(2);
  });

  it('receives nothing after unsubscribe', async () => {
    const { subscriber, broker } = await start();
    const heard: unknown[] = [];
    const end = subscriber.subscribe((message) => heard.push(idOf(message)));

    broker.emit(entity('User', 1));
    end();
    end();
    broker.emit(entity('User', 2));

    expect(heard).toEqual(['1']);
  });

  it('allows a handler to unsubscribe itself while it is called', async () => {
    const { subscriber, broker } = await start();
    const heard: unknown[] = [];
    const end = subscriber.subscribe((message) => {
      heard.push(`first ${idOf(message)}`);
      end();
    });
    subscriber.subscribe((message) => heard.push(`second ${idOf(message)}`));

    broker.emit(entity('User', 1));
    broker.emit(entity('User', 2));

    expect(heard).toEqual(['first 1', 'second 1', 'second 2']);
  });

  it('allows a handler to subscribe another, which receives the next message', async () => {
    const { subscriber, broker } = await start();
    const heard: unknown[] = [];
    subscriber.subscribe((message) => {
      heard.push(`outer ${idOf(message)}`);
      if (idOf(message) === '1') {
        subscriber.subscribe((next) => heard.push(`inner ${idOf(next)}`));
      }
    });

    broker.emit(entity('User', 1));
    broker.emit(entity('User', 2));

    expect(heard).toEqual(['outer 1', 'outer 2', 'inner 2']);
  });

  // The code that ended the subscription may have closed resources of the handler.
  it('does not call a handler that an earlier one unsubscribed', async () => {
    const { subscriber, broker } = await start();
    const heard: unknown[] = [];
    const ends: (() => void)[] = [];
    subscriber.subscribe(() => ends.forEach((end) => end()));
    ends.push(subscriber.subscribe((message) => heard.push(idOf(message))));

    broker.emit(entity('User', 1));

    expect(heard).toEqual([]);
  });

  it('drops queued messages after unsubscribe', async () => {
    const { app, subscriber, broker } = await start();
    const heard: unknown[] = [];
    const end = subscriber.subscribe(async (message) => {
      heard.push(idOf(message));
      await new Promise((resolve) => setImmediate(resolve));
    });
    const other = vi.fn(() => new Promise((resolve) => setImmediate(resolve)));
    subscriber.subscribe(other);

    for (const id of [1, 2, 3]) broker.emit(entity('User', id));
    end();
    await settled(app);

    expect(other).toHaveBeenCalledTimes(3);
    expect(heard).toEqual(['1']);
  });

  it('drops queued messages after the application was closed', async () => {
    const { app, subscriber, broker } = await start();
    const heard: unknown[] = [];
    let finish = () => {};
    let finished = false;
    subscriber.subscribe(async (message) => {
      heard.push(idOf(message));
      await new Promise<void>((resolve) => (finish = resolve));
      finished = true;
    });

    for (const id of [1, 2, 3]) broker.emit(entity('User', id));
    await app.close();
    finish();
    await expect.poll(() => finished).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));

    expect(heard).toEqual(['1']);
  });
});

describe('Order of messages', () => {
  it('is the order of publication in the publishing instance', async () => {
    const { app, subscriber } = await start();
    const publisher = app.get(InvalidationPublisher);
    const heard: unknown[] = [];
    subscriber.subscribe((message) => heard.push(idOf(message)));
    const ids = Array.from({ length: 50 }, (_, id) => String(id));

    await Promise.all(ids.map((id) => publisher.invalidateUser(id)));

    expect(heard).toEqual(ids);
  });

  it('is the order of the broker in other instances', async () => {
    const first = await startApp();
    const second = await startApp({ broker: first.broker });
    const heard: unknown[] = [];
    second.app
      .get(InvalidationSubscriber)
      .subscribe((message) => heard.push(idOf(message)));
    const publisher = first.app.get(InvalidationPublisher);

    await Promise.all(
      ['a', 'b', 'c'].map((id) => publisher.invalidateUser(id)),
    );

    expect(heard).toEqual(['a', 'b', 'c']);
  });
});

describe('messages$ and its operators', () => {
  const said: readonly Invalidation[] = [
    entity('User', 1),
    entity('User', 2, { action: 'Update' }),
    entity('Post', 1),
    batch(['user:1', 'post:9']),
    batch(['post:9']),
    pattern('user:*'),
    pattern('post:*'),
    everything(),
  ];

  async function through(
    ...operators: MonoTypeOperatorFunction<InvalidationMessage>[]
  ): Promise<unknown[]> {
    const { subscriber, broker } = await start();
    const heard: unknown[] = [];
    operators
      .reduce((from, operator) => from.pipe(operator), subscriber.messages$)
      .subscribe((message) => heard.push(idOf(message)));
    for (const one of said) broker.emit(one);
    return heard;
  }

  it('messages$ emits everything', async () => {
    expect(await through()).toEqual(said.map(idOf));
  });

  it('ofEntity(): messages that may affect an entity of these types', async () => {
    const users = ['1', '2', 'user:1,post:9', 'user:*', '*'];
    expect(await through(ofEntity('User'))).toEqual(users);
    expect(await through(ofEntity('User', 'Post'))).toEqual(said.map(idOf));
    expect(await through(ofEntity('Feed'))).toEqual(['*']);
  });

  it('affecting(): messages that affect this key', async () => {
    expect(await through(affecting('user:1'))).toEqual([
      '1',
      'user:1,post:9',
      'user:*',
      '*',
    ]);
    expect(await through(affecting('post:9'))).toEqual([
      'user:1,post:9',
      'post:9',
      'post:*',
      '*',
    ]);
  });

  it('fromOthers(): not the messages of this instance', async () => {
    const { app, subscriber, broker } = await start();
    const heard: unknown[] = [];
    const all: unknown[] = [];
    subscriber.messages$
      .pipe(fromOthers())
      .subscribe((message) => heard.push(idOf(message)));
    subscriber.messages$.subscribe((message) => all.push(idOf(message)));

    await app.get(InvalidationPublisher).invalidateUser('mine');
    broker.emit(entity('User', 'theirs'));
    broker.emit(entity('User', 'sibling'), 'test');

    expect(all).toEqual(['mine', 'theirs', 'sibling']);
    expect(heard).toEqual(['theirs', 'sibling']);
  });

  it('fromOthers(): messages that this instance widened after a loss', async () => {
    const { subscriber, broker } = await start();
    const heard: InvalidationMessage[] = [];
    subscriber.messages$.pipe(fromOthers()).subscribe((m) => heard.push(m));

    broker.cut();
    broker.loseJournal();
    broker.heal();

    await eventually(() =>
      expect(heard).toMatchObject([
        { pattern: '*', own: true, widened: 'missed' },
      ]),
    );
  });

  it('are injected with @InjectInvalidationStream()', async () => {
    @Injectable()
    class FeedCache {
      readonly heard: unknown[] = [];

      @InjectInvalidationStream()
      readonly property$!: Observable<InvalidationMessage>;

      constructor(
        @InjectInvalidationStream() stream$: Observable<InvalidationMessage>,
      ) {
        stream$.subscribe((message) => this.heard.push(idOf(message)));
      }
    }
    const { app, broker } = await startApp({ providers: [FeedCache] });

    broker.emit(entity('User', 1));

    expect(app.get(FeedCache).heard).toEqual(['1']);
    expect(app.get(FeedCache).property$).toBe(
      app.get(InvalidationSubscriber).messages$,
    );
  });
});

describe('Closing the application', () => {
  it('completes messages$ and status$', async () => {
    const { app, subscriber, broker } = await start();
    const heard = vi.fn();
    const completed: string[] = [];
    const states: string[] = [];
    subscriber.subscribe(heard);
    subscriber.messages$.subscribe({
      next: heard,
      complete: () => completed.push('messages$'),
    });
    subscriber.status$.subscribe({
      next: ({ state }) => states.push(state),
      complete: () => completed.push('status$'),
    });

    await app.close();
    broker.emit(entity('User', 1));

    expect(completed).toEqual(['messages$', 'status$']);
    expect(states).toEqual(['live', 'stopped']);
    expect(heard).not.toHaveBeenCalled();
  });
});
