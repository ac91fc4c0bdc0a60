import { Logger } from '@nestjs/common';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import {
  BegunWork,
  InvalidationScope,
  openScopes,
  PublisherShutdown,
} from '../../lib/publisher/index.js';
import { processStore } from '../../lib/publisher/process-store.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import { said } from '../support/app.js';
import { makePublisher } from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const TIMES = { shutdownTimeout: 1_000, publishTimeout: 400 };
const STALE =
  'Other instances keep stale entries until their TTL; end such work earlier, or raise shutdownTimeout.';

// Scopes that other specs have left open are none of these tests' business.
beforeEach(() => {
  processStore().open = null;
});

/** A publisher with a clock that the test drives, and a shutdown of it. */
function make(given: Partial<typeof TIMES & { enabled: boolean }> = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const options = { enabled: true, ...TIMES, ...given };
  const parts = makePublisher(options);
  const work = new BegunWork();
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  const { pipeline, queue, relay } = parts;
  const shutdown = new PublisherShutdown(
    options,
    work,
    pipeline,
    queue,
    relay,
    reporter,
  );
  const state = { over: false };
  const begin = async (): Promise<void> => {
    void shutdown.run().then(() => (state.over = true));
    await pass(0);
  };
  return { ...parts, work, begin, state, errors };
}

const pass = async (ms: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(ms);
  await new Promise((resolve) => setImmediate(resolve));
};

/** A scope that holds one invalidation until the test ends it. */
function openScope(publish: () => unknown) {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const ended = InvalidationScope.run(async () => {
    publish();
    await opened;
  });
  return { open, ended };
}

const CALL = { subjects: ['User', 'feed:*'] };

describe('PublisherShutdown: an instance without anything under way', () => {
  it('ends at once, and takes nothing more', async () => {
    const { begin, state, publisher, errors } = make();
    await begin();
    expect(state.over).toBe(true);
    expect(errors).toEqual([]);
    await expect(publisher.invalidate('User', 1)).rejects.toThrow(
      'The application has shut down; this invalidation cannot be sent. Publish before onApplicationShutdown, for example in onModuleDestroy.',
    );
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('PublisherShutdown: decorated calls under way', () => {
  it('waits for them, and for what they publish', async () => {
    const { begin, state, work, publisher, sent, errors } = make();
    work.begin(CALL);
    await begin();
    await pass(599);
    expect(state.over).toBe(false);
    const publishing = publisher.invalidate('User', 1);
    work.end(CALL);
    await pass(0);
    expect(await publishing).toMatchObject({ status: 'delivered' });
    expect(state.over).toBe(true);
    expect(sent().map(said)).toEqual(['User:1']);
    expect(errors).toEqual([]);
  });

  it.each([
    [400, 600],
    [10_000, 500],
  ])(
    'leaves a publishTimeout of %i ms for their messages, or half of the time',
    async (publishTimeout, until) => {
      const { begin, state, work, errors } = make({ publishTimeout });
      work.begin(CALL);
      work.begin(CALL);
      await begin();
      await pass(until - 1);
      expect(state.over).toBe(false);
      await pass(1);
      expect(state.over).toBe(true);
      expect(errors).toMatchObject([
        {
          code: 'CACHE_INVALIDATION_TIMEOUT',
          timeout: 1_000,
          message: `At the end of the shutdown (1000 ms) there was still work under way: 2 decorated calls (User, feed:*). What it changes from now on is lost to other instances. ${STALE}`,
        },
      ]);
    },
  );

  it('names one call in the singular', async () => {
    const { begin, work, errors } = make();
    work.begin(CALL);
    await begin();
    await pass(1_000);
    expect(errors[0]?.message).toContain(
      'under way: 1 decorated call (User, feed:*). What',
    );
  });

  it('does not wait for them, and reports nothing, where the module is disabled', async () => {
    const { begin, state, work, errors } = make({ enabled: false });
    work.begin(CALL);
    await begin();
    expect(state.over).toBe(true);
    expect(errors).toEqual([]);
  });
});

describe('PublisherShutdown: open scopes', () => {
  it('waits for them, and sends what they publish at their end', async () => {
    const { begin, state, publisher, sent, errors } = make();
    const { open, ended } = openScope(() => publisher.invalidate('User', 1));
    await begin();
    await pass(500);
    expect(state.over).toBe(false);
    open();
    await pass(0);
    await ended;
    await pass(0);
    expect(state.over).toBe(true);
    expect(sent().map(said)).toEqual(['User:1']);
    expect(errors).toEqual([]);
  });

  it('publishes early what those hold that do not end, and reports them', async () => {
    const { begin, state, publisher, sent, errors, work } = make();
    const scopes = [1, 2].map((id) =>
      openScope(() => publisher.invalidate('User', id)),
    );
    const call = { subjects: ['Post'] };
    work.begin(call);
    await begin();
    await pass(599);
    expect(sent()).toEqual([]);
    await pass(1);
    expect(state.over).toBe(true);
    expect(sent().map(said)).toEqual(['User:1', 'User:2']);
    expect(errors.map(({ message }) => message)).toEqual([
      `At the end of the shutdown (1000 ms) there was still work under way: 1 decorated call (Post), 2 scopes. What it changes from now on is lost to other instances. ${STALE}`,
    ]);
    for (const { open } of scopes) open();
    await Promise.all(scopes.map(({ ended }) => ended));
    expect(openScopes().work.count).toBe(0);
  });

  it('reports scopes alone', async () => {
    const { begin, publisher, errors } = make();
    const { open, ended } = openScope(() => publisher.invalidate('User', 1));
    await begin();
    await pass(1_000);
    expect(errors[0]?.message).toContain('under way: 1 scope. What');
    open();
    await ended;
  });

  it('does not wait for the scopes that the shutdown was called in', async () => {
    const { begin, state, publisher, sent, errors } = make();
    await InvalidationScope.run(() =>
      InvalidationScope.run(async () => {
        await publisher.invalidate('User', 1);
        await begin();
        expect(state.over).toBe(true);
      }),
    );
    // The message is held, and the shutdown publishes it early.
    expect(sent().map(said)).toEqual(['User:1']);
    expect(errors).toEqual([]);
  });

  it('leaves them alone where the module is disabled', async () => {
    const other = makePublisher();
    const { open, ended } = openScope(() =>
      other.publisher.invalidate('User', 1),
    );
    const { begin, state, errors } = make({ enabled: false });
    await begin();
    expect(state.over).toBe(true);
    expect(other.sent()).toEqual([]);
    expect(errors).toEqual([]);
    vi.useRealTimers();
    open();
    await ended;
    expect(other.sent().map(said)).toEqual(['User:1']);
  });
});

describe('PublisherShutdown: messages that Redis does not take', () => {
  it('tries until the end of shutdownTimeout, the time for begun work included, and reports them as lost', async () => {
    const { begin, state, transport, publisher, work, errors } = make();
    transport.writable = false;
    await publisher.invalidateBatch(['user:1', 'user:2']);
    await publisher.invalidate('User', 1);
    work.begin(CALL);
    await begin();
    await pass(300);
    work.end(CALL);
    await pass(699);
    expect(state.over).toBe(false);
    await pass(1);
    expect(state.over).toBe(true);
    expect(errors).toMatchObject([
      {
        code: 'CACHE_INVALIDATION_TIMEOUT',
        timeout: 1_000,
        message:
          '2 invalidations could not be sent within 1000 ms of shutdown and are lost. Other instances keep stale entries until their TTL; raise shutdownTimeout, or repair Redis.',
      },
    ]);
  });

  it('ends as soon as Redis takes them', async () => {
    const { begin, state, transport, publisher, resume, errors } = make();
    transport.writable = false;
    await publisher.invalidate('User', 1);
    await begin();
    await pass(10);
    expect(state.over).toBe(false);
    transport.writable = true;
    resume();
    await pass(0);
    expect(state.over).toBe(true);
    expect(errors).toEqual([]);
  });

  it('stops trying at the end', async () => {
    const { begin, transport, publisher } = make();
    transport.obliging = false;
    void publisher.invalidate('User', 1);
    await pass(0);
    await begin();
    await pass(1_000);
    transport.call(0).fail();
    await pass(60_000);
    expect(transport.calls).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
