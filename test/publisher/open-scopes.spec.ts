import { Logger } from '@nestjs/common';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  OpenScopes,
  type HoldingScope,
} from '../../lib/publisher/open-scopes.js';
import { CapturingLogger } from '../testing/fakes/capturing.logger.js';

/** A scope is stuck when it has held something for so long, in milliseconds. */
const STUCK_MS = 60_000;
/** As many scopes hold invalidations. */
const MANY = 10_000;

class Scope implements HoldingScope {
  readonly done: string[] = [];

  constructor(readonly since: number) {}

  publishEarly(): void {
    this.done.push('published early');
  }

  giveUp(): void {
    this.done.push('gave up');
  }
}

function captureLogs(): CapturingLogger {
  const logs = new CapturingLogger();
  Logger.overrideLogger(logs);
  onTestFinished(() => Logger.overrideLogger(false));
  return logs;
}

describe('OpenScopes', () => {
  it('counts the scopes that have begun, and not those that hold something', () => {
    const scopes = new OpenScopes();
    const scope = new Scope(0);
    scopes.begin();
    expect(scopes.work.count).toBe(1);
    scopes.holds(scope);
    expect([...scopes.holding]).toEqual([scope]);
    expect(scopes.work.count).toBe(1);
    expect(scopes.work.subjects()).toEqual([]);
    scopes.released(scope);
    expect(scopes.holding.size).toBe(0);
    expect(scopes.work.count).toBe(1);
    scopes.end();
    expect(scopes.work.count).toBe(0);
  });

  it('publishes a scope early, once, when another holds something after a minute', () => {
    const logs = captureLogs();
    const scopes = new OpenScopes();
    const stuck = new Scope(1_000);
    scopes.holds(stuck);
    const younger = new Scope(1_001);
    scopes.holds(younger);
    scopes.holds(new Scope(1_000 + STUCK_MS - 1));
    expect(stuck.done).toEqual([]);
    expect(logs.lines).toEqual([]);

    scopes.holds(new Scope(1_000 + STUCK_MS));
    expect(stuck.done).toEqual(['published early']);
    expect(younger.done).toEqual([]);

    scopes.holds(new Scope(1_001 + STUCK_MS));
    expect(stuck.done).toEqual(['published early']);
    // The scope that is known to be stuck does not hide the next one.
    expect(younger.done).toEqual(['published early']);
    expect(logs.of('warn')).toEqual(
      Array.from(
        { length: 2 },
        () =>
          'An InvalidationScope has been open for more than 60 s: the invalidations that it holds were published now, and will be published again when it ends. Make sure that its work settles.',
      ),
    );
  });

  it('makes the oldest scope give up when too many hold something', () => {
    const scopes = new OpenScopes();
    const crowd = Array.from({ length: MANY }, (_, since) => new Scope(since));
    for (const scope of crowd) scopes.holds(scope);
    expect(crowd.flatMap(({ done }) => done)).toEqual([]);

    scopes.holds(new Scope(MANY));

    expect(crowd[0]!.done).toEqual(['gave up']);
    expect(crowd.slice(1).flatMap(({ done }) => done)).toEqual([]);
    expect(scopes.holding.size).toBe(MANY);
    expect(scopes.holding.has(crowd[0]!)).toBe(false);
  });

  it('gives up one nested scope after the other, and not one within the other', () => {
    const scopes = new OpenScopes();
    let depth = 0;
    let deepest = 0;
    let published = 0;
    const nested = (level: number): HoldingScope => ({
      since: level,
      publishEarly: () => {},
      giveUp: () => {
        deepest = Math.max(deepest, ++depth);
        // The outer scope holds nothing yet.
        if (level > 0) scopes.holds(nested(level - 1));
        else published++;
        depth--;
      },
    });
    for (let at = 0; at <= 10_000; at++) scopes.holds(nested(20));
    expect(deepest).toBe(1);
    expect(published + scopes.holding.size).toBe(10_001);
  });
});
