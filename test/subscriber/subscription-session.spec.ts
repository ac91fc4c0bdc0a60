import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  InvalidationConfigurationError,
  InvalidationRedisError,
} from '../../lib/errors/index.js';
import { encodeMessage, entity } from '../../lib/message/index.js';
import type { InstanceOptions } from '../support/parts.js';
import { breathe, errorOf, stopTime } from './clock.js';
import { journal, makeInstance } from './parts.js';
import { wire } from './setup.js';

/** A session that has not begun, on a transport that is connected by hand. */
function makeSession(given: Partial<InstanceOptions> = {}) {
  stopTime();
  const made = makeInstance(given);
  const { session, transport, status, relay } = made;
  transport.writable = false;
  transport.obliging = true;
  onTestFinished(() => session.stop());
  const states: string[] = [];
  status.status$.subscribe(({ state, reason }) =>
    states.push(reason === null ? state : `${state}: ${reason}`),
  );
  const sweep = vi.spyOn(relay, 'sweep');
  const soon = async (ms = 0): Promise<void> => {
    await breathe();
    await vi.advanceTimersByTimeAsync(ms);
    await breathe();
  };
  const listener = () => {
    const { listener: current } = transport;
    if (current === null) throw new Error('The transport was not started.');
    return current;
  };
  /** The commands connection is there. */
  const opens = (): void => {
    transport.writable = true;
    listener().onWritable();
  };
  /** Starts the application, which serves once this resolves. */
  const start = () => {
    let served = false;
    let failed: unknown = null;
    session.start().then(
      () => (served = true),
      (error: unknown) => (failed = error),
    );
    return { served: () => served, failed: () => failed };
  };
  const startLive = async () => {
    const started = start();
    opens();
    listener().onSubscribed();
    await soon();
    expect(started.served()).toBe(true);
    states.length = 0;
    return started;
  };
  return {
    ...made,
    states,
    soon,
    listener,
    opens,
    start,
    startLive,
    sweeps: () => sweep.mock.calls.length,
  };
}

describe('SubscriptionSession: the start', () => {
  it('waits until the subscription is live and Redis takes commands', async () => {
    const made = makeSession();
    const { start, listener, opens, soon, states, transport, lines } = made;
    const introduce = vi.spyOn(transport, 'introduce');
    journal(transport, 1);
    const started = start();
    expect(introduce).toHaveBeenCalledTimes(1);
    expect(made.staleness.bypass).toBe(true);
    opens();
    await soon();
    expect(started.served()).toBe(false);
    listener().onSubscribed();
    await soon();
    expect(started.served()).toBe(true);
    expect(states).toEqual(['stopped: not started', 'connecting', 'live']);
    expect(made.staleness.bypass).toBe(false);
    expect(made.staleness.age).toBe(0);
    expect(made.receiver.position).toBe('1-0');
    await soon(10_000);
    expect(lines).toEqual(['log: Live on channel "things".']);
    expect(made.meter.totals.reconnects).toBe(0);
  });

  it('waits for the commands connection where the subscription is there first', async () => {
    const { start, listener, opens, soon, transport } = makeSession();
    transport.journaled = false;
    const started = start();
    listener().onSubscribed();
    await soon();
    expect(started.served()).toBe(false);
    opens();
    await soon();
    expect(started.served()).toBe(true);
  });

  it("resolves the calls that wait for the journal's end, where it begins", async () => {
    const { start, listener, opens, soon, transport, tracker } = makeSession();
    journal(transport, 1);
    start();
    let reached = false;
    void tracker.reached('1-0', 10_000).then(() => (reached = true));
    opens();
    await soon();
    expect(reached).toBe(false);
    listener().onSubscribed();
    await soon();
    expect(reached).toBe(true);
  });

  it('widens as started late where it was subscribed in time, and Redis took no commands', async () => {
    const { start, listener, opens, soon, heard, receiver } = makeSession();
    const started = start();
    listener().onSubscribed();
    await soon(1_000);
    expect(started.served()).toBe(true);
    opens();
    await soon(100);
    expect(heard()).toEqual(['started-late']);
    expect(receiver.position).toBe('0-0');
  });

  it('does nothing where the module is switched off', async () => {
    const { start, soon, states, transport, staleness } = makeSession({
      enabled: false,
    });
    const started = start();
    await soon();
    expect(started.served()).toBe(true);
    expect(states).toEqual(['stopped: not started', 'stopped: disabled']);
    expect(transport.listener).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
    expect(staleness.bypass).toBe(true);
  });

  it('fails where Redis withholds a right, and closes everything', async () => {
    const { start, listener, opens, soon, transport, states, relay } =
      makeSession();
    transport.missing = ['XADD'];
    const close = vi.spyOn(relay, 'close');
    const started = start();
    opens();
    listener().onSubscribed();
    await soon();
    expect(started.failed()).toBeInstanceOf(InvalidationConfigurationError);
    expect(states.at(-1)).toBe('stopped: shut down');
    expect(close).toHaveBeenCalledTimes(1);
    expect(transport.listener).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('goes on without Redis after startupTimeout, and widens as started late', async () => {
    const { start, listener, opens, soon, heard, lines, staleness, receiver } =
      makeSession();
    const started = start();
    await soon(999);
    expect(started.served()).toBe(false);
    await soon(1);
    expect(started.served()).toBe(true);
    expect(staleness.bypass).toBe(false);
    expect(heard()).toEqual([]);
    await soon(2_000);
    opens();
    listener().onSubscribed();
    await soon();
    expect(heard()).toEqual(['started-late']);
    expect(receiver.position).toBe('0-0');
    expect(lines).toEqual([
      'warn: Redis has not answered within 1000 ms: the application starts without it and goes live when Redis comes back.',
      expect.stringContaining('warn: More was evicted than had changed'),
      'log: Live on channel "things" after 3.0 s without Redis.',
    ]);
  });

  it.each([
    ['widens once it is subscribed', false, ['started-late']],
    ['widens nothing if it was subscribed by then', true, []],
  ])('without Redis and without a journal %s', async (_, early, expected) => {
    const { start, listener, opens, soon, heard, transport, states } =
      makeSession();
    transport.journaled = false;
    const started = start();
    if (early) listener().onSubscribed();
    await soon(1_000);
    expect(started.served()).toBe(true);
    if (!early) listener().onSubscribed();
    opens();
    await soon();
    expect(heard()).toEqual(expected);
    expect(states.slice(1)).toEqual(['connecting', 'live']);
  });
});

describe('SubscriptionSession: a lost subscription', () => {
  it('is caught up from the journal', async () => {
    const made = makeSession();
    const { startLive, listener, soon, states, heard, transport } = made;
    journal(transport, 1);
    await startLive();
    journal(transport, 2);
    listener().onLost(null);
    await soon(500);
    journal(transport, 3);
    listener().onSubscribed();
    await soon();
    expect(states).toEqual([
      'disconnected: the connection closed',
      'catching-up: the subscription was lost',
      'live',
    ]);
    expect(heard()).toEqual(['2', '3']);
    expect(made.meter.totals.reconnects).toBe(1);
  });

  it('has the reason that the transport gives', async () => {
    const { startLive, listener, states } = makeSession();
    await startLive();
    listener().onLost(new Error('connect ECONNREFUSED.'));
    expect(states).toEqual(['disconnected: connect ECONNREFUSED']);
  });

  it('widens once without a journal', async () => {
    const made = makeSession();
    const { startLive, listener, soon, states, heard, transport } = made;
    transport.journaled = false;
    await startLive();
    listener().onLost(null);
    expect(heard()).toEqual([]);
    await soon(50);
    expect(made.staleness.age).toBeGreaterThanOrEqual(50);
    listener().onSubscribed();
    expect(heard()).toEqual(['reconnected']);
    expect(states).toEqual(['disconnected: the connection closed', 'live']);
    expect(made.staleness.age).toBe(0);
    listener().onSubscribed();
    expect(heard()).toEqual(['reconnected']);
  });

  it('widens where another service publishes without the journal', async () => {
    const { startLive, listener, soon, heard, transport } = makeSession();
    journal(transport, 1);
    await startLive();
    listener().onMessage(wire('foreign'));
    listener().onLost(null);
    listener().onSubscribed();
    await soon();
    expect(heard()).toEqual(['foreign', 'reconnected']);
  });

  it('is not known to be up to date where the journal cannot be read', async () => {
    const { start, listener, opens, soon, states, transport, staleness } =
      makeSession();
    start();
    vi.spyOn(transport, 'journalTail').mockRejectedValue(new Error('no'));
    opens();
    listener().onSubscribed();
    await soon();
    expect(states.at(-1)).toBe('live: the journal could not be read: no');
    expect(staleness.age).toBe(Infinity);
  });
});

describe('SubscriptionSession: a connection that takes commands again', () => {
  it('sends what waits, sweeps the outbox, and reads the journal again', async () => {
    const made = makeSession();
    const { startLive, opens, soon, transport, queue, sweeps, heard } = made;
    journal(transport, 1);
    await startLive();
    const resume = vi.spyOn(queue, 'resume');
    const before = sweeps();
    // A heartbeat finds what is missing, and is not answered.
    journal(transport, 2);
    await soon(100);
    expect(heard()).toEqual(['2']);
    journal(transport, 3);
    transport.silent = true;
    await soon(110);
    transport.silent = false;
    opens();
    await soon();
    expect(resume).toHaveBeenCalledTimes(1);
    expect(sweeps()).toBeGreaterThan(before);
    expect(made.errors).toEqual([]);
    await soon(100);
    expect(heard()).toEqual(['2', '3']);
  });

  it('sweeps the outbox at once, and after each heartbeat', async () => {
    const { startLive, opens, soon, sweeps } = makeSession();
    await startLive();
    expect(sweeps()).toBe(1);
    opens();
    expect(sweeps()).toBe(2);
    await soon(100);
    expect(sweeps()).toBe(3);
    await soon(100);
    expect(sweeps()).toBe(4);
  });

  it('has the journal read again if that was being done', async () => {
    const { startLive, listener, opens, soon, transport, heard } =
      makeSession();
    journal(transport, 1);
    await startLive();
    listener().onLost(null);
    journal(transport, 2);
    transport.silent = true;
    listener().onSubscribed();
    await soon(10);
    transport.silent = false;
    opens();
    await soon();
    expect(heard()).toEqual(['2']);
  });
});

describe('SubscriptionSession: errors of Redis', () => {
  it('are reported, and are the reason of a status that is not live', async () => {
    const { start, listener, states, errors } = makeSession();
    start();
    const cause = new Error('WRONGPASS invalid password.');
    listener().onError(cause);
    expect(states.at(-1)).toBe('connecting: WRONGPASS invalid password');
    expect(errors).toEqual([
      new InvalidationRedisError(
        'Redis: WRONGPASS invalid password.',
        'Trying again; until then invalidations wait in the outbox.',
        cause,
      ),
    ]);
    expect(errors[0]!.cause).toBe(cause);
  });

  it.each([
    ['a heartbeat succeeds', 'heartbeat'],
    ['Redis takes commands', 'commands'],
  ])('end with a line for a long outage once %s', async (_, end) => {
    const { startLive, listener, opens, soon, lines } = makeSession({
      heartbeatInterval: end === 'heartbeat' ? 11_500 : 100_000,
    });
    await startLive();
    listener().onError(new Error('no'));
    await soon(6_000);
    listener().onError(new Error('no'));
    await soon(5_000);
    listener().onError(new Error('no'));
    lines.length = 0;
    if (end === 'commands') opens();
    await soon(1_000);
    const away = end === 'heartbeat' ? '11.5' : '11.0';
    expect(lines).toEqual([`log: Redis answers again, after ${away} s.`]);
  });

  it('end with the line of the status for a lost subscription', async () => {
    const { startLive, listener, soon, lines } = makeSession({
      heartbeatInterval: 100_000,
    });
    await startLive();
    listener().onLost(null);
    for (let times = 0; times < 3; times++) {
      listener().onError(new Error('no'));
      await soon(6_000);
    }
    lines.length = 0;
    listener().onSubscribed();
    await soon();
    expect(lines.at(-1)).toBe(
      'log: Live on channel "things" after 18.0 s without Redis.',
    );
    expect(lines.join()).not.toContain('answers again');
  });

  it('end without a line for a short outage', async () => {
    const { startLive, listener, soon, lines } = makeSession();
    await startLive();
    listener().onError(new Error('no'));
    lines.length = 0;
    await soon(1_000);
    expect(lines).toEqual([]);
  });
});

describe('SubscriptionSession: heartbeats', () => {
  it('prove that nothing was missed, and introduce the instance anew', async () => {
    const made = makeSession();
    const { startLive, soon, transport, stream, staleness } = made;
    await startLive();
    const introduce = vi.spyOn(transport, 'introduce');
    vi.spyOn(stream, 'handledTypes').mockReturnValue(['User']);
    await soon(99);
    expect(staleness.age).toBe(99);
    await soon(1);
    expect(staleness.age).toBe(0);
    expect(introduce.mock.calls).toMatchObject([[{ types: ['User'] }]]);
  });

  it('find what is missing', async () => {
    const { startLive, soon, transport, heard, states } = makeSession();
    journal(transport, 1);
    await startLive();
    journal(transport, 'lost');
    await soon(100);
    expect(heard()).toEqual(['lost']);
    expect(states).toEqual([
      'catching-up: something may have been missed',
      'live',
    ]);
  });

  it('prove nothing while the subscription is lost, or after the end', async () => {
    const made = makeSession();
    const { startLive, listener, soon, transport, staleness, session } = made;
    await startLive();
    const ping = vi.spyOn(transport, 'ping');
    listener().onLost(null);
    await soon(200);
    expect(ping).not.toHaveBeenCalled();
    expect(staleness.age).toBe(200);
    await session.stop();
    await soon(200);
    expect(staleness.age).toBe(Infinity);
  });

  it('look for own messages, and publish "everything" where they are lost', async () => {
    const made = makeSession();
    const { startLive, soon, queue, transport, heard } = made;
    journal(transport, 1);
    await startLive();
    vi.spyOn(queue, 'lastOffset', 'get').mockReturnValue('9-0');
    await soon(100);
    expect(heard()).toEqual(['*']);
    expect(transport.sent).toHaveLength(1);
    await soon(100);
    expect(transport.sent).toHaveLength(1);
  });

  it('survive that "everything" cannot be published any more', async () => {
    const { startLive, soon, queue, transport, pipeline, staleness } =
      makeSession();
    journal(transport, 1);
    await startLive();
    const publish = vi
      .spyOn(pipeline, 'publishEverything')
      .mockRejectedValue(new Error('shut down'));
    vi.spyOn(queue, 'lastOffset', 'get').mockReturnValue('9-0');
    await soon(100);
    expect(publish).toHaveBeenCalledTimes(1);
    await soon(100);
    expect(staleness.age).toBe(0);
  });
});

describe('SubscriptionSession: messages', () => {
  it('are received, and replayed where there is a gap', async () => {
    const { startLive, listener, soon, transport, heard } = makeSession();
    journal(transport, 1);
    await startLive();
    listener().onMessage(journal(transport, 2));
    journal(transport, 3);
    listener().onMessage(journal(transport, 4));
    await soon();
    expect(heard()).toEqual(['2', '3', '4']);
  });

  it('resolve the calls that wait for their offset, replayed or received', async () => {
    const { startLive, listener, soon, transport, tracker } = makeSession();
    journal(transport, 1);
    await startLive();
    const moved = vi.spyOn(tracker, 'moved');
    const reached: string[] = [];
    for (const offset of ['2-0', '3-0', '4-0']) {
      tracker.reached(offset, 10_000).then(
        () => reached.push(offset),
        () => {},
      );
    }
    listener().onMessage(journal(transport, 2));
    await soon();
    expect(reached).toEqual(['2-0']);
    expect(moved.mock.calls).toEqual([[true]]);
    journal(transport, 3);
    moved.mockClear();
    listener().onLost(null);
    listener().onSubscribed();
    await soon();
    expect(reached).toEqual(['2-0', '3-0']);
    expect(moved.mock.calls.flat()).not.toContain(true);
    // "Everything" covers what the last one waits for.
    listener().onMessage('{"message_id":'.padEnd(2_000));
    await soon();
    expect(reached).toEqual(['2-0', '3-0', '4-0']);
  });

  it('of this instance move its position when they come back', async () => {
    const { startLive, listener, transport, instance, own, receiver } =
      makeSession();
    journal(transport, 1);
    await startLive();
    const message = instance.stamp(entity('User', 'own'));
    own.sent(message.messageId, null);
    transport.channel.append(encodeMessage(message, Infinity));
    listener().onMessage(transport.channel.journal.at(-1)!.payload);
    expect(receiver.position).toBe('2-0');
  });
});

describe('SubscriptionSession: maxStaleness', () => {
  it.each([
    ['widen', ['stale'], 'everything is evicted'],
    ['serve', [], 'cached values are served'],
  ] as const)(
    'when exceeded, with whenStale "%s"',
    async (whenStale, expected, told) => {
      const { startLive, listener, soon, heard, lines } = makeSession({
        maxStaleness: 150,
        whenStale,
      });
      await startLive();
      listener().onLost(null);
      lines.length = 0;
      await soon(150);
      expect(heard()).toEqual(expected);
      expect(lines).toEqual([
        expect.stringMatching(`^warn: .* for 150 ms .*${told}`),
      ]);
    },
  );
});

describe('SubscriptionSession: the end', () => {
  it('closes the transport and completes everything', async () => {
    const made = makeSession({ maxStaleness: 150 });
    const { startLive, session, transport, stream, status, reporter } = made;
    await startLive();
    const completed: string[] = [];
    const records = (name: string) => ({
      complete: () => completed.push(name),
    });
    stream.messages$.subscribe(records('messages'));
    status.status$.subscribe(records('status'));
    reporter.errors$.subscribe(records('errors'));
    const waiting = errorOf(made.tracker.reached('99-0', 1_000));
    await session.stop();
    expect(String(await waiting)).toContain('shuts down');
    expect(transport.listener).toBeNull();
    expect(completed).toEqual(['messages', 'errors', 'status']);
    expect(vi.getTimerCount()).toBe(0);
    expect(made.staleness.bypass).toBe(true);
    expect(status.current).toMatchObject({
      state: 'stopped',
      reason: 'shut down',
    });
  });

  it('ends a start that still waits for Redis', async () => {
    const { start, session, soon, transport, lines } = makeSession();
    const started = start();
    await session.stop();
    await soon(2_000);
    expect(started.served()).toBe(true);
    expect(transport.listener).toBeNull();
    expect(lines).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends a catch-up', async () => {
    const made = makeSession();
    const { startLive, listener, session, soon, transport, errors } = made;
    journal(transport, 1);
    await startLive();
    listener().onLost(null);
    transport.silent = true;
    listener().onSubscribed();
    await soon();
    await session.stop();
    await soon(1_000);
    expect(errors).toEqual([]);
    expect(made.heard()).toEqual([]);
  });
});
