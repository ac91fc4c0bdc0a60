import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it } from 'vitest';
import {
  batch,
  entity,
  pattern,
  type WidenedCause,
} from '../../lib/message/index.js';
import type { InvalidationStream } from '../../lib/stream/index.js';
import { makeStream } from './setup.js';

/** Recalls a post at 1-0 and a user at 2-0, both before the position 3-0. */
function recallTwo(stream: InvalidationStream): void {
  stream.fences.trackPositions();
  stream.fences.reached('3-0', true);
  stream.recall([
    { ...entity('Post', 'DEF'), offset: '1-0' },
    { ...entity('User', 'DEF'), offset: '2-0' },
  ]);
}

describe('InvalidationStream', () => {
  it('delivers to caches before handlers, each of them in a fixed order', () => {
    const { stream, receive } = makeStream();
    const calls: string[] = [];
    stream.addHandler('first handler', () => calls.push('handler 1'), []);
    stream.addHandler('second handler', () => calls.push('handler 2'), []);
    stream.addCache('cache', () => calls.push('cache'), null);
    stream.messages$.subscribe(() => calls.push('observable'));
    receive(entity('User', 1));
    expect(calls).toEqual(['cache', 'handler 1', 'handler 2', 'observable']);
  });

  it('delivers only what a handler selects, and all to a cache', () => {
    const { stream, receive } = makeStream();
    const calls: string[] = [];
    const record = (name: string) => (message: { entityId: string | null }) =>
      calls.push(`${name} ${message.entityId}`);
    stream.addCache('cache', record('cache'), ['User']);
    stream.addHandler('users', record('users'), ['User']);
    stream.addHandler('one', record('one'), [], (m) => m.entityId === '1');
    receive(entity('User', 1), entity('Post', 2));
    expect(calls).toEqual(['cache 1', 'users 1', 'one 1', 'cache 2']);
  });

  it('delivers nothing to a removed consumer, not even queued messages', async () => {
    const { stream, receive } = makeStream();
    const calls: string[] = [];
    let finish = (): void => {};
    const remove = stream.addHandler(
      'slow',
      ({ entityId }) => {
        calls.push(entityId!);
        return new Promise<void>((resolve) => (finish = resolve));
      },
      [],
    );
    const removeCache = stream.addCache('cache', () => calls.push('c'), null);
    stream.addHandler('other', () => calls.push('other'), []);
    receive(entity('User', 1), entity('User', 2));
    removeCache();
    remove();
    const idle = stream.whenIdle();
    finish();
    await idle;
    await new Promise((resolve) => setImmediate(resolve));
    receive(entity('User', 3));
    expect(calls).toEqual(['c', '1', 'other', 'c', 'other', 'other']);
  });

  it('knows the entity types that are handled, unless a consumer takes all', () => {
    const { stream } = makeStream();
    expect(stream.handledTypes()).toEqual([]);
    stream.addHandler('posts and users', () => {}, ['User', 'Post']);
    stream.addCache('feeds', () => {}, ['Feed', 'User']);
    expect(stream.handledTypes()).toEqual(['Feed', 'Post', 'User']);
    const subscription = stream.messages$.subscribe();
    expect(stream.handledTypes()).toBeNull();
    subscription.unsubscribe();
    const remove = stream.addHandler('all', () => {}, []);
    expect(stream.handledTypes()).toBeNull();
    remove();
    expect(stream.handledTypes()).toEqual(['Feed', 'Post', 'User']);
    stream.addCache('unknown', () => {}, null);
    expect(stream.handledTypes()).toBeNull();
  });

  it('is busy while a handler runs', async () => {
    const { stream, receive } = makeStream();
    let finish = (): void => {};
    stream.addHandler('idle', () => {}, []);
    stream.addHandler(
      'slow',
      () => new Promise<void>((resolve) => (finish = resolve)),
      [],
    );
    expect(stream.busy).toBe(false);
    await stream.whenIdle();
    receive(entity('User', 1));
    expect(stream.busy).toBe(true);
    let wasIdle = false;
    const idle = stream.whenIdle().then(() => (wasIdle = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(wasIdle).toBe(false);
    finish();
    await idle;
    expect(stream.busy).toBe(false);
  });

  it('ends: consumers are called no more, and the observable completes', () => {
    const { stream, receive } = makeStream();
    const calls: string[] = [];
    stream.addHandler('handler', () => calls.push('handler'), []);
    stream.messages$.subscribe({ complete: () => calls.push('complete') });
    stream.complete();
    receive(entity('User', 1));
    expect(calls).toEqual(['complete']);
    expect(stream.handledTypes()).toEqual([]);
  });

  it('brings ids into their forms, in messages and in the journal', () => {
    const { stream, receive } = makeStream({
      normalizeIds: { User: (id) => id.toLowerCase() },
    });
    const ids: unknown[] = [];
    stream.addHandler('ids', ({ entityId }) => ids.push(entityId), []);
    receive(entity('User', 'ABC'), entity('Post', 'ABC'));
    expect(ids).toEqual(['abc', 'ABC']);

    recallTwo(stream);
    expect(stream.fences.takenAt('1-0')?.holds('user:def')).toBe(false);
    expect(stream.fences.takenAt('1-0')?.holds('user:DEF')).toBe(true);
    expect(stream.fences.takenAt('2-0')?.holds('user:def')).toBe(true);
  });

  it('recalls the journal as it is where ids have no forms', () => {
    const { stream } = makeStream();
    recallTwo(stream);
    expect(stream.fences.takenAt('1-0')?.holds('user:DEF')).toBe(false);
    expect(stream.fences.takenAt('1-0')?.holds('post:DEF')).toBe(true);
  });

  it('breaks the fences that handlers take only by later messages', () => {
    const { stream, receive } = makeStream();
    const before = stream.fences.take();
    const held: boolean[] = [];
    stream.addHandler(
      'loader',
      () => held.push(stream.fences.take().holds('user:1')),
      [],
    );
    receive(entity('User', 1));
    expect(before.holds('user:1')).toBe(false);
    expect(held).toEqual([true]);
  });

  it('delivers own messages outside of the context of their publish, others in it', () => {
    const request = new AsyncLocalStorage<string>();
    const { stream, instance, receive } = makeStream();
    const seen: unknown[] = [];
    stream.addHandler('on', () => seen.push(request.getStore()), []);
    request.run('tenant', () => {
      stream.deliver(instance.stamp(entity('User', 1)));
      receive(entity('User', 1));
    });
    expect(seen).toEqual([undefined, 'tenant']);
  });

  it('knows that own messages are early, and others are not', () => {
    const { stream, instance, receive } = makeStream();
    stream.fences.trackPositions();
    receive(entity('User', 1));
    expect(stream.fences.early).toBe(false);
    stream.deliver(instance.widened('missed'));
    expect(stream.fences.early).toBe(false);
    stream.deliver(instance.stamp(entity('User', 1)));
    expect(stream.fences.early).toBe(true);
  });
});

describe('InvalidationStream: a widened message', () => {
  it.each<[WidenedCause, ...lines: RegExp[]]>([
    ['not-understood', /^warn More .* not understood, or too large/],
    ['reconnected', /^warn More .* subscription was lost/],
    ['missed', /^warn More .* messages were missed/],
    ['started-late', /^warn More .* before it was connected/],
    ['stale'],
    ['handler-overflow'],
  ])('is counted, and logged if nobody else does: %s', (cause, ...lines) => {
    const { stream, instance, meter, logged } = makeStream();
    stream.deliver(instance.widened(cause));
    expect(meter.widenedBy.get(cause)).toBe(1);
    expect(meter.totals.delivered).toBe(1);
    const expected = lines.map((line) => expect.stringMatching(line) as string);
    expect(logged()).toEqual(expected);
  });

  it('passes every condition: it may affect more than it names', () => {
    const { stream, instance } = makeStream();
    const causes: unknown[] = [];
    stream.addHandler(
      'never',
      ({ widened }) => causes.push(widened),
      [],
      () => false,
    );
    stream.deliver(instance.stamp(entity('User', 1)));
    stream.deliver(instance.widened('missed'));
    expect(causes).toEqual(['missed']);
  });

  it('is neither counted nor logged as one if it was not', () => {
    const { receive, meter, logged } = makeStream();
    receive(entity('User', 1), pattern('feed:*'), batch(['user:1']));
    expect(meter.totals.delivered).toBe(3);
    expect([...meter.widenedBy.keys()]).toEqual([]);
    expect(logged()).toEqual([]);
  });
});

describe('InvalidationStream: a failing function of the application', () => {
  it('is reported and counted, and the handler continues with the next message', async () => {
    const { stream, receive, meter, errors } = makeStream();
    const failed = new Error('failed');
    const handled: unknown[] = [];
    stream.addHandler(
      'Users.on',
      ({ entityId }) => {
        handled.push(entityId);
        if (entityId === '1') throw failed;
        return entityId === '2' ? Promise.reject(failed) : null;
      },
      [],
    );
    receive(entity('User', 1), entity('User', 2), entity('User', 3));
    await stream.whenIdle();
    expect(handled).toEqual(['1', '2', '3']);
    expect(meter.totals.handlerErrors).toBe(2);
    expect(errors.map(({ cause }) => cause)).toEqual([failed, failed]);
    for (const { message } of errors) {
      expect(message).toMatch(/^Users\.on failed on an invalidation message/);
      expect(message).toMatch(/continues with the next one/);
    }
  });

  it.each([
    [
      'throws',
      /condition that failed.*: sorry\..*counts as true/,
      () => {
        throw new Error('sorry');
      },
    ],
    [
      'answers later',
      /condition that failed.*returned a promise.*counts as true/,
      () => Promise.resolve(false) as unknown as boolean,
    ],
    [
      'fails later',
      /condition that failed.*returned a promise.*counts as true/,
      () => Promise.reject(new Error('later')) as unknown as boolean,
    ],
  ])('as a condition that %s, counts as true', (_, reason, when) => {
    const { stream, receive, errors } = makeStream();
    const handled: unknown[] = [];
    stream.addHandler('on', ({ entityId }) => handled.push(entityId), [], when);
    receive(entity('User', 1));
    expect(handled).toEqual(['1']);
    expect(errors).toHaveLength(1);
    expect(errors[0]!.message).toMatch(reason);
  });

  it('has its time measured all the same', async () => {
    const { stream, receive, meter } = makeStream();
    stream.addHandler(
      'now',
      () => {
        throw new Error('failed');
      },
      [],
    );
    stream.addHandler('later', () => Promise.reject(new Error('failed')), []);
    const latencies: number[] = [];
    meter.latencies.handler.listener = (latency) => latencies.push(latency);
    const began = performance.now();
    receive(entity('User', 1));
    await stream.whenIdle();
    expect(latencies).toHaveLength(2);
    const most = performance.now() - began;
    for (const latency of latencies) {
      expect(latency).toBeGreaterThanOrEqual(0);
      expect(latency).toBeLessThanOrEqual(most);
    }
  });
});

describe('InvalidationStream: many consumers', () => {
  it('of one name are logged once, since they are hardly meant', () => {
    const { stream, receive, logged } = makeStream();
    let calls = 0;
    for (let n = 0; n < 249; n++) stream.addHandler('A.on', () => calls++, []);
    stream.addHandler('B.on', () => calls++, []);
    expect(logged()).toEqual([]);
    stream.addHandler('A.on', () => calls++, []);
    stream.addHandler('A.on', () => calls++, []);
    expect(logged()).toEqual([
      expect.stringMatching(/^warn A\.on has been registered .* 250 times/),
    ]);
    receive(entity('User', 1));
    expect(calls).toBe(252);
  });
});
