import { PassThrough } from 'node:stream';
import { Logger } from '@nestjs/common';
import { defer, lastValueFrom, of, Subject } from 'rxjs';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import {
  currentScope,
  isInScope,
  InvalidationScope,
  openScopes,
} from '../../lib/publisher/index.js';
import type { DeferringPublisher } from '../../lib/publisher/held-invalidations.js';
import { Outbox } from '../../lib/publisher/outbox.js';
import { processStore } from '../../lib/publisher/process-store.js';
import { said } from '../support/app.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

// Scopes that other specs have left open are none of these tests' business.
beforeEach(() => {
  processStore().open = null;
});

const ROLLED_BACK = new Error('rolled back');
const { run } = InvalidationScope;
const instance = new Instance('test');

/** Lets every promise that is settled run its callbacks. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A publisher that notes what scopes give it, and whether they wait. */
class Publisher implements DeferringPublisher {
  readonly notes: string[] = [];
  /** Answers of `publishHeld()`, which resolves at once by default. */
  answer: Promise<unknown> = Promise.resolve();

  /** Holds a message in the current scope. */
  readonly hold = (id: string): void => {
    currentScope()!.hold(this, [instance.stamp(entity('User', id))]);
  };

  newHold(): Outbox {
    return new Outbox({ messages: 100, bytes: Infinity }, (one) =>
      instance.stamp(one),
    );
  }

  holdCollapsed(): void {
    throw new Error('A hold of few messages does not collapse.');
  }

  publishHeld(
    messages: readonly InvalidationMessage[],
    { wait }: { readonly wait: boolean },
  ): Promise<unknown> {
    const where = currentScope() === null ? '' : ' within a scope';
    const what = messages.map(said).join();
    this.notes.push(`${what} ${wait ? 'awaited' : 'at once'}${where}`);
    return this.answer;
  }

  publishEverything(): Promise<unknown> {
    this.notes.push('everything');
    return this.answer;
  }
}

/** How much work the shutdown would wait for. */
const open = (): number => openScopes().work.count;

describe('A scope of synchronous work', () => {
  it('gives up what it held at once, when the work returns', () => {
    const publisher = new Publisher();
    const scope = run(() => {
      publisher.hold('1');
      publisher.hold('2');
      expect(publisher.notes).toEqual([]);
      return currentScope()!;
    });
    expect(publisher.notes).toEqual(['User:1,User:2 at once']);
    expect(scope.ended).toBe(true);
    expect(open()).toBe(0);
  });

  it('is open in the course of its work only', () => {
    run(() => {
      expect(currentScope()!.ended).toBe(false);
    });
    const failed: { scope?: ReturnType<typeof currentScope> } = {};
    expect(() =>
      run(() => {
        failed.scope = currentScope();
        throw ROLLED_BACK;
      }),
    ).toThrow(ROLLED_BACK);
    expect(failed.scope!.ended).toBe(true);
  });

  it('gives an outer scope what it held, and nothing after an error', () => {
    const publisher = new Publisher();
    run(() => {
      run(() => publisher.hold('1'));
      expect(() =>
        run(() => {
          publisher.hold('2');
          throw ROLLED_BACK;
        }),
      ).toThrow(ROLLED_BACK);
      expect(publisher.notes).toEqual([]);
    });
    expect(publisher.notes).toEqual(['User:1 at once']);
  });

  it('gives up what it held after keep(), whatever the work throws', () => {
    const publisher = new Publisher();
    expect(() =>
      run((keep) => {
        publisher.hold('1');
        keep();
        throw ROLLED_BACK;
      }),
    ).toThrow(ROLLED_BACK);
    expect(publisher.notes).toEqual(['User:1 at once']);
  });

  it('of its own publishes at its end, even within another that fails', () => {
    const publisher = new Publisher();
    expect(() =>
      run(() => {
        publisher.hold('outer');
        const result = InvalidationScope.runNew(() => {
          publisher.hold('own');
          return 'result';
        });
        expect(result).toBe('result');
        expect(publisher.notes).toEqual(['User:own at once']);
        throw ROLLED_BACK;
      }),
    ).toThrow(ROLLED_BACK);
    expect(publisher.notes).toHaveLength(1);
  });

  it('refuses what is iterated later, and drops what it held', () => {
    const publisher = new Publisher();
    expect(() =>
      run(() => {
        publisher.hold('1');
        return (function* () {})();
      }),
    ).toThrow(
      'An InvalidationScope cannot cover a value that is iterated later: it would end before the work does. Run the code that consumes it.',
    );
    expect(publisher.notes).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['generator', function* () {}],
    ['asynchronous generator', async function* () {}],
  ])('refuses an %s function before it runs', (_, work) => {
    expect(() => run(work)).toThrow(
      'A generator returns before its body has run: run the code that consumes it.',
    );
  });
});

describe('A scope of asynchronous work', () => {
  it('is work under way until Redis has what it held', async () => {
    const publisher = new Publisher();
    let answer!: () => void;
    publisher.answer = new Promise<void>((resolve) => (answer = resolve));
    let over = false;
    const result = run(async () => {
      publisher.hold('1');
      await breathe();
      return 'result';
    }).finally(() => (over = true));
    expect(open()).toBe(1);
    await breathe();
    await breathe();
    expect(publisher.notes).toEqual(['User:1 awaited']);
    expect([open(), over]).toEqual([1, false]);
    answer();
    expect(await result).toBe('result');
    expect(open()).toBe(0);
    expect(openScopes().holding.size).toBe(0);
  });

  it('returns its result where publishing fails', async () => {
    const publisher = new Publisher();
    publisher.answer = Promise.reject(new Error('no'));
    const result = await run(async () => {
      publisher.hold('1');
      return 'result';
    });
    expect(result).toBe('result');
    expect(open()).toBe(0);
  });

  it.each([
    ['drops what it held when it fails', false, []],
    ['gives what it held after keep()', true, ['User:1 awaited']],
  ])('%s, and is not under way any more', async (_, keeps, expected) => {
    const publisher = new Publisher();
    const failing = run(async (keep) => {
      publisher.hold('1');
      if (keeps) keep();
      throw ROLLED_BACK;
    });
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(publisher.notes).toEqual(expected);
    expect(open()).toBe(0);
  });
});

describe('A scope of a stream', () => {
  it.each([
    ['returned', (stream: PassThrough) => stream],
    ['promised', async (stream: PassThrough) => stream],
  ])('is work under way until a %s one has finished', async (_, give) => {
    const publisher = new Publisher();
    const stream = new PassThrough();
    const result = await run(() => {
      publisher.hold('1');
      return give(stream);
    });
    expect(result).toBe(stream);
    await breathe();
    expect(publisher.notes).toEqual([]);
    expect(open()).toBe(1);
    stream.resume().end();
    await vi.waitFor(() => expect(open()).toBe(0));
    expect(publisher.notes).toEqual(['User:1 awaited']);
  });

  it.each([
    ['drops what it held when the stream fails', false, ROLLED_BACK, []],
    ['gives it after keep()', true, ROLLED_BACK, ['User:1 awaited']],
    ['gives it when the reader leaves', false, undefined, ['User:1 awaited']],
  ])('%s', async (_, keeps, error, expected) => {
    const publisher = new Publisher();
    const stream = new PassThrough().on('error', () => {});
    run((keep) => {
      publisher.hold('1');
      if (keeps) keep();
      return stream;
    });
    expect(open()).toBe(1);
    stream.destroy(error);
    await vi.waitFor(() => expect(open()).toBe(0));
    expect(publisher.notes).toEqual(expected);
  });
});

describe('A scope of an Observable', () => {
  it('is one for each subscription, in the scope that was open at the call', async () => {
    const publisher = new Publisher();
    const values$ = run(() => {
      publisher.hold('call');
      return defer(() => {
        publisher.hold('subscription');
        return of(1);
      });
    });
    expect(publisher.notes).toEqual(['User:call at once']);
    expect(await lastValueFrom(values$)).toBe(1);
    expect(publisher.notes.slice(1)).toEqual(['User:subscription awaited']);
    expect(open()).toBe(0);
  });

  it('gives what it held to the outer scope', async () => {
    const publisher = new Publisher();
    await run(async () => {
      await lastValueFrom(
        run(() =>
          defer(() => {
            publisher.hold('1');
            return of(1);
          }),
        ),
      );
      expect(publisher.notes).toEqual([]);
    });
    expect(publisher.notes).toEqual(['User:1 awaited']);
  });

  it('drops nothing after a subscription has succeeded, which may be the commit', async () => {
    const publisher = new Publisher();
    const source = new Subject<number>();
    let subscriptions = 0;
    const values$ = run(() =>
      defer(() => {
        publisher.hold(String(++subscriptions));
        return subscriptions === 1 ? of(1) : source;
      }),
    );
    await lastValueFrom(values$);
    const failing = lastValueFrom(values$);
    source.error(ROLLED_BACK);
    await expect(failing).rejects.toBe(ROLLED_BACK);
    expect(publisher.notes).toEqual(['User:1 awaited', 'User:2 awaited']);
  });
});

describe('A scope that is open for long', () => {
  it('remembers when it first held something', () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(7);
    onTestFinished(() => now.mockRestore());
    const publisher = new Publisher();
    run(() => {
      const scope = currentScope()!;
      expect(scope.since).toBe(Infinity);
      expect(openScopes().holding.size).toBe(0);
      publisher.hold('1');
      now.mockReturnValue(8);
      publisher.hold('2');
      expect(scope.since).toBe(7);
      expect([...openScopes().holding]).toEqual([scope]);
    });
  });

  it('publishes early at once, as no part of the scope, and again at its end', async () => {
    const publisher = new Publisher();
    await run(async () => {
      publisher.hold('1');
      currentScope()!.publishEarly();
      expect(publisher.notes).toEqual(['User:1 at once']);
      publisher.hold('2');
    });
    expect(publisher.notes.slice(1)).toEqual(['User:1,User:2 awaited']);
  });

  it('that gives up publishes at once, and ends: everything follows with the commit', async () => {
    const publisher = new Publisher();
    await run(async () => {
      publisher.hold('1');
      const scope = currentScope()!;
      scope.giveUp();
      expect(publisher.notes).toEqual(['User:1 at once']);
      expect(scope.ended).toBe(true);
      expect(currentScope()).toBeNull();
      // Near caches are bypassed as long as the transaction is open.
      expect(isInScope()).toBe(true);
      expect(open()).toBe(0);
      await breathe();
      expect(open()).toBe(1);
    });
    expect(publisher.notes.slice(1)).toEqual(['everything']);
    expect(isInScope()).toBe(false);
    expect(open()).toBe(0);
  });

  it('that gives up gives an outer scope what it held', async () => {
    const publisher = new Publisher();
    await run(async () => {
      await run(async () => {
        publisher.hold('1');
        currentScope()!.giveUp();
        expect(publisher.notes).toEqual([]);
      });
    });
    expect(publisher.notes).toEqual(['User:1 awaited']);
  });
});
