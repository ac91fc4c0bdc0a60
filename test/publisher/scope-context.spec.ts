import {
  concat,
  firstValueFrom,
  NEVER,
  of,
  Observable,
  Subject,
  throwError,
} from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { CommitPosition } from '../../lib/message/index.js';
import {
  currentScope,
  InvalidationScope,
  OffsetScope,
  openOf,
  openScopes,
  outsideScopes,
  QUEUED,
  scopeDepth,
  withinScope,
  type PublishReceipt,
} from '../../lib/publisher/index.js';
import { subscribedWork } from '../../lib/publisher/subscribed-work.js';

/** Lets every promise that is settled run its callbacks. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(resolve));

describe('The current scope', () => {
  it('is none outside of scopes, and in outsideScopes()', () => {
    expect(currentScope()).toBeNull();
    expect(scopeDepth()).toBe(0);
    InvalidationScope.run(() => {
      expect(currentScope()).not.toBeNull();
      expect(outsideScopes(() => [currentScope(), scopeDepth()])).toEqual([
        null,
        0,
      ]);
    });
    expect(currentScope()).toBeNull();
  });

  it('is the inner of two, each of which counts once for the depth', () => {
    InvalidationScope.run(() => {
      const outer = currentScope();
      expect(scopeDepth()).toBe(1);
      InvalidationScope.run(() => {
        expect(currentScope()?.parent).toBe(outer);
        expect(scopeDepth()).toBe(2);
      });
      InvalidationScope.runNew(() => {
        expect(currentScope()?.parent).toBeNull();
        expect(scopeDepth()).toBe(1);
      });
    });
  });

  it('is the outer one when the inner has ended, and none when both have', () => {
    const look: { within?: () => unknown } = {};
    const outer = InvalidationScope.run(() => {
      InvalidationScope.run(() => {
        const inner = currentScope();
        look.within = () =>
          withinScope(inner, () => [currentScope(), scopeDepth()]);
      });
      const scope = currentScope();
      expect(look.within!()).toEqual([scope, 1]);
      expect(openOf(scope)).toBe(scope);
      return scope;
    });
    expect(look.within!()).toEqual([null, 0]);
    expect(openOf(outer)).toBeNull();
    expect(openOf(null)).toBeNull();
  });

  it('withinScope() returns the result of its work', () => {
    expect(withinScope(null, () => 7)).toBe(7);
    expect(outsideScopes(() => 8)).toBe(8);
  });

  it('has one list of open scopes for the process', () => {
    expect(openScopes()).toBe(openScopes());
  });
});

describe('OffsetScope', () => {
  const receipt = (offset: string | null): PublishReceipt => ({
    ...QUEUED,
    offset,
  });

  it('returns the same function outside of a run', () => {
    const offsets = new OffsetScope();
    const settle = (): void => {};
    expect(offsets.recording(settle, null)).toBe(settle);
    offsets.run(() => {});
    expect(offsets.recording(settle, null)).toBe(settle);
  });

  it('records the greatest offset of the receipts, and passes each on', () => {
    const offsets = new OffsetScope();
    const settled: (string | null)[] = [];
    const result = offsets.run((offset) => {
      const settle = offsets.recording(
        (given) => settled.push(given.offset),
        null,
      );
      expect(offset()).toBeNull();
      settle(receipt(null));
      expect(offset()).toBeNull();
      settle(receipt('5-0'));
      expect(offset()).toBe('5-0');
      settle(receipt('4-9'));
      settle(receipt(null));
      expect(offset()).toBe('5-0');
      settle(receipt('10-0'));
      expect(offset()).toBe('10-0');
      return 'result';
    });
    expect(result).toBe('result');
    expect(settled).toEqual([null, '5-0', '4-9', null, '10-0']);
  });

  it('records the latest position, of those that can be compared', () => {
    const offsets = new OffsetScope();
    const record = (at: CommitPosition | null): void =>
      offsets.recording(() => {}, at)(receipt(null));
    offsets.run((_, lsn) => {
      record(null);
      record({ mysql: '9' });
      record({ pg: 'none' });
      expect(lsn()).toBeNull();
      record({ pg: '1/A', other: '7' });
      record({ pg: '0/FF' });
      record(null);
      expect(lsn()).toBe(0x1_0000_000an);
    });
  });

  it('keeps the offset of a run that continues while another begins', async () => {
    const offsets = new OffsetScope();
    const first = offsets.run(async (offset) => {
      await breathe();
      offsets.recording(() => {}, null)(receipt('1-0'));
      return offset();
    });
    const second = offsets.run((offset) => offset);
    expect(await first).toBe('1-0');
    expect(second()).toBeNull();
  });
});

describe('subscribedWork()', () => {
  /** Runs work, and notes its begin and its end. */
  function noting() {
    const notes: string[] = [];
    const run = async (work: () => Promise<void>): Promise<void> => {
      notes.push('begin');
      try {
        await work();
        notes.push('end');
      } catch (error) {
        notes.push(`failure: ${String(error)}`);
        throw error;
      }
    };
    return { notes, run };
  }

  /** Subscribes, and notes what arrives. */
  function subscribeTo(source: Observable<unknown>, notes: string[]) {
    return source.subscribe({
      next: (value) => notes.push(`value ${String(value)}`),
      error: (error) => notes.push(`error: ${String(error)}`),
      complete: () => notes.push('complete'),
    });
  }

  it('is a unit of work for each subscription, which completes when the work has ended', async () => {
    const { notes, run } = noting();
    const values$ = subscribedWork(of(1, 2), run);
    expect(notes).toEqual([]);
    subscribeTo(values$, notes);
    expect(notes).toEqual(['begin', 'value 1', 'value 2']);
    await breathe();
    expect(notes.slice(3)).toEqual(['end', 'complete']);
    subscribeTo(values$, notes);
    await breathe();
    expect(notes).toHaveLength(10);
  });

  it('passes an error on when the work has failed with it', async () => {
    const { notes, run } = noting();
    const failing = concat(
      of(1),
      throwError(() => 'broken'),
    );
    subscribeTo(subscribedWork(failing, run), notes);
    await breathe();
    expect(notes).toEqual([
      'begin',
      'value 1',
      'failure: broken',
      'error: broken',
    ]);
  });

  it('ends the work of a subscriber who leaves, and unsubscribes from the source', async () => {
    const { notes, run } = noting();
    const source = new Subject<number>();
    const subscription = subscribeTo(
      subscribedWork(concat(source, NEVER), run),
      notes,
    );
    source.next(1);
    expect(source.observed).toBe(true);
    subscription.unsubscribe();
    expect(source.observed).toBe(false);
    source.next(2);
    await breathe();
    expect(notes).toEqual(['begin', 'value 1', 'end']);
  });

  it('stops a synchronous source when its subscriber has left', async () => {
    const { notes, run } = noting();
    let steps = 0;
    const source = new Observable<number>((observer) => {
      while (!observer.closed && steps < 1_000) observer.next(steps++);
    });
    expect(await firstValueFrom(subscribedWork(source, run))).toBe(0);
    expect(steps).toBeLessThan(3);
    await breathe();
    expect(notes).toEqual(['begin', 'end']);
  });
});
