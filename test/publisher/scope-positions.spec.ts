import { AsyncResource } from 'node:async_hooks';
import { defer, of } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import { everything, type CommitPosition } from '../../lib/message/index.js';
import { InvalidationScope } from '../../lib/publisher/index.js';
import { said } from '../support/app.js';
import { makePublisher } from '../support/parts.js';

const AT = { pg: '0/A0' };

/** A database that answers with a position, and records when it was asked. */
function make(answer: () => unknown = () => Promise.resolve(AT)) {
  const made = makePublisher();
  const { publisher, sent } = made;
  const steps: string[] = [];
  const at = () => {
    steps.push(`asked after ${sent().length} messages`);
    return answer() as Promise<CommitPosition>;
  };
  /** A transaction that changes a user. */
  const change = (id: number) => async () => {
    await publisher.invalidate('User', id, { at: { pg: '0/1' } });
    steps.push('commit');
  };
  const positions = () => sent().map((each) => [said(each), each.at]);
  return { ...made, at, steps, change, positions };
}

describe('InvalidationScope: the position of its commit', () => {
  it.each(['run', 'runNew'] as const)(
    'is asked once after the work of %s(), before anything leaves',
    async (run) => {
      const { at, steps, publisher, change, positions } = make();
      await InvalidationScope[run](
        async () => {
          await publisher.update('User', 2);
          await change(1)();
        },
        { at },
      );
      expect(steps).toEqual(['commit', 'asked after 0 messages']);
      expect(positions()).toEqual([
        ['User:2', AT],
        ['User:1', AT],
      ]);
    },
  );

  it('is not asked where there is nothing to publish, nor after a rollback', async () => {
    const { at, steps, publisher, sent } = make();
    await InvalidationScope.run(async () => {}, { at });
    const failing = InvalidationScope.run(
      async () => {
        await publisher.invalidate('User', 1);
        throw new Error('rolled back');
      },
      { at },
    );
    await expect(failing).rejects.toThrow('rolled back');
    expect(steps).toEqual([]);
    expect(sent()).toEqual([]);
  });

  it('is that of the outer scope', async () => {
    const outer = make();
    const inner = vi.fn<() => Promise<CommitPosition>>();
    await InvalidationScope.run(
      () => InvalidationScope.run(outer.change(1), { at: inner }),
      { at: outer.at },
    );
    expect(inner).not.toHaveBeenCalled();
    expect(outer.positions()).toEqual([['User:1', AT]]);
    await InvalidationScope.run(() =>
      InvalidationScope.run(outer.change(2), { at: inner }),
    );
    expect(inner).not.toHaveBeenCalled();
    expect(outer.positions()[1]).toEqual(['User:2', null]);
  });

  it('is unknown where the COMMIT itself fails, which may take place later', async () => {
    const { at, steps, change, positions } = make();
    const failing = InvalidationScope.run(
      async (keep) => {
        await change(1)();
        keep();
        throw new Error('connection lost');
      },
      { at },
    );
    await expect(failing).rejects.toThrow('connection lost');
    expect(steps).toEqual(['commit']);
    expect(positions()).toEqual([['User:1', null]]);
  });

  it('is unknown for an Observable, whose subscriber may leave before the COMMIT, and for synchronous work', async () => {
    const { at, steps, publisher, positions } = make();
    const work = () =>
      defer(() => {
        void publisher.invalidate('User', 1);
        return of(1);
      });
    await new Promise<void>((resolve) =>
      InvalidationScope.run(work, { at }).subscribe({ complete: resolve }),
    );
    InvalidationScope.run(() => void publisher.publish(everything()), { at });
    await vi.waitFor(() => expect(positions()).toHaveLength(2));
    expect(steps).toEqual([]);
    expect(positions()).toEqual([
      ['User:1', null],
      ['*', null],
    ]);
  });

  it('does not hold for what is published while it is asked', async () => {
    const { at, publisher, change, positions } = make(async () => {
      await late();
      return AT;
    });
    let late = async () => {};
    await InvalidationScope.run(
      async () => {
        await change(1)();
        // In the context of the scope, as work is that was not awaited.
        late = AsyncResource.bind(async () => {
          await publisher.invalidate('User', 2);
        });
      },
      { at },
    );
    expect(positions()).toEqual([
      ['User:2', null],
      ['User:1', AT],
    ]);
  });

  it.each<[string, () => unknown]>([
    ['rejects', () => Promise.reject(new Error('in recovery'))],
    [
      'throws',
      () => {
        throw new Error('in recovery');
      },
    ],
    ['gives no position', () => Promise.resolve({ pg: 'soon' })],
    ['gives nothing', () => null],
  ])('is left out if the question %s', async (_, answer) => {
    const { at, change, positions } = make(answer);
    await InvalidationScope.run(change(1), { at });
    expect(positions()).toEqual([['User:1', null]]);
  });

  it('is left out after a second', async () => {
    vi.useFakeTimers();
    try {
      const { at, change, positions } = make(() => new Promise(() => {}));
      const ended = InvalidationScope.run(change(1), { at });
      await vi.advanceTimersByTimeAsync(999);
      expect(positions()).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      await ended;
      expect(positions()).toEqual([['User:1', null]]);
    } finally {
      vi.useRealTimers();
    }
  });
});
