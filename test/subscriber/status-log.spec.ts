import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { StatusLog } from '../../lib/subscriber/index.js';
import { stopTime } from './clock.js';

/** A status, with its log lines and its changes since the first one. */
function makeStatus() {
  stopTime();
  const lines: string[] = [];
  for (const level of ['log', 'warn'] as const) {
    const spy = vi.spyOn(Logger.prototype, level).mockImplementation(function (
      this: Logger,
      text,
    ) {
      expect(this).toMatchObject({ context: 'CacheInvalidation' });
      lines.push(`${level}: ${text}`);
    });
    onTestFinished(() => spy.mockRestore());
  }
  const status = new StatusLog({ channel: 'things' });
  const changes: string[] = [];
  let completed = false;
  status.status$.subscribe({
    next: ({ state, reason }) => changes.push(`${state}: ${reason}`),
    complete: () => (completed = true),
  });
  const pass = (ms: number): void => void vi.advanceTimersByTime(ms);
  return { status, lines, changes, pass, completed: () => completed };
}

describe('StatusLog', () => {
  it('begins as not started, and tells when a state began', () => {
    const { status, pass } = makeStatus();
    const begun = Date.now();
    expect(status.current).toEqual({
      state: 'stopped',
      since: new Date(begun),
      reason: 'not started',
    });
    pass(5);
    status.connecting();
    expect(status.current).toEqual({
      state: 'connecting',
      since: new Date(begun + 5),
      reason: null,
    });
  });

  it('logs that it is live, and nothing about states on the way', () => {
    const { status, lines, changes } = makeStatus();
    status.connecting();
    status.live(null);
    expect(lines).toEqual(['log: Live on channel "things".']);
    expect(changes).toEqual([
      'stopped: not started',
      'connecting: null',
      'live: null',
    ]);
  });

  it('is stopped where the module is switched off, and completes at the end', () => {
    const { status, lines, changes, completed } = makeStatus();
    status.disabled();
    expect(completed()).toBe(false);
    status.shutDown();
    expect(changes.slice(1)).toEqual([
      'stopped: disabled',
      'stopped: shut down',
    ]);
    expect(completed()).toBe(true);
    expect(lines).toEqual([]);
  });

  it('logs a lost subscription once, and how long Redis was away', () => {
    const { status, lines, changes, pass } = makeStatus();
    status.live(null);
    lines.length = 0;

    status.disconnected('the connection closed');
    pass(1_000);
    status.disconnected('connect ECONNREFUSED');
    pass(500);
    status.subscribed();
    status.live(null);
    pass(9_000);
    status.live('the journal could not be read');

    expect(lines).toEqual([
      'warn: Disconnected from channel "things": the connection closed. Messages that it misses are replayed, or everything is evicted, once the subscription is restored.',
      'log: Live on channel "things" after 1.5 s without Redis.',
      'warn: Live on channel "things", but the journal could not be read.',
    ]);
    expect(changes.slice(2)).toEqual([
      'disconnected: the connection closed',
      'disconnected: connect ECONNREFUSED',
      'catching-up: the subscription was lost',
      'live: null',
      'live: the journal could not be read',
    ]);
  });

  it('counts the time without Redis from when that is known to have begun', () => {
    const { status, lines, pass } = makeStatus();
    status.away(performance.now() - 2_000);
    pass(300);
    status.away();
    status.live('a part is missing');
    expect(lines).toEqual([
      'warn: Live on channel "things" after 2.3 s without Redis, but a part is missing.',
    ]);
  });

  it('is catching up after a gap only while it is live, without a line in the log', () => {
    const { status, lines, changes } = makeStatus();
    status.connecting();
    status.gapFound();
    status.live(null);
    lines.length = 0;
    status.gapFound();
    status.live(null);
    status.disconnected('the connection closed');
    status.gapFound();
    expect(changes.slice(1)).toEqual([
      'connecting: null',
      'live: null',
      'catching-up: something may have been missed',
      'live: null',
      'disconnected: the connection closed',
    ]);
    expect(lines).toHaveLength(1);
  });

  it('stays as it is when a subscription stands that was never lost', () => {
    const { status, changes } = makeStatus();
    status.connecting();
    status.subscribed();
    expect(changes.slice(1)).toEqual(['connecting: null']);
  });

  it('does not tell a state again that has not changed', () => {
    const { status, lines, changes } = makeStatus();
    status.live(null);
    status.live(null);
    status.live('slow');
    status.live('slow');
    expect(changes.slice(1)).toEqual(['live: null', 'live: slow']);
    expect(lines).toHaveLength(2);
  });

  it('keeps why no connection can be had, but for a reason that says less', () => {
    const { status, lines, changes, pass } = makeStatus();
    status.refused('WRONGPASS');
    status.connecting();
    const { since } = status.current;
    pass(5);
    status.refused('Connection is closed');
    status.refused('WRONGPASS');
    status.refused('WRONGPASS');
    status.refused('Connection is closed');
    expect(status.current).toEqual({
      state: 'connecting',
      since,
      reason: 'WRONGPASS',
    });
    status.refused('connect ETIMEDOUT');
    status.live(null);
    status.refused('WRONGPASS');
    status.disconnected('the connection closed');
    status.refused('WRONGPASS');
    expect(changes.slice(1)).toEqual([
      'connecting: null',
      'connecting: Connection is closed',
      'connecting: WRONGPASS',
      'connecting: connect ETIMEDOUT',
      'live: null',
      'disconnected: the connection closed',
      'disconnected: WRONGPASS',
    ]);
    expect(lines).toHaveLength(2);
  });

  it('logs that the application starts without Redis, with the reason where it is known', () => {
    const { status, lines } = makeStatus();
    status.connecting();
    status.startsWithout(100);
    status.refused('WRONGPASS');
    status.startsWithout(100);
    const rest =
      ': the application starts without it and goes live when Redis comes back.';
    expect(lines).toEqual([
      `warn: Redis has not answered within 100 ms${rest}`,
      `warn: Redis has not answered within 100 ms (WRONGPASS)${rest}`,
    ]);
  });

  it('logs that Redis answers again, and what happens beyond maxStaleness', () => {
    const { status, lines } = makeStatus();
    status.answersAgain(12_345);
    status.stale(100, 'widen');
    status.stale(100, 'serve');
    const stale =
      'warn: This instance has not been known to be up to date for 100 ms (option maxStaleness): ';
    expect(lines).toEqual([
      'log: Redis answers again, after 12.3 s.',
      `${stale}everything is evicted, and caches should be bypassed.`,
      `${stale}cached values are served all the same.`,
    ]);
  });
});
