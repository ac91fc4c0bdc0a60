import { describe, expect, it, vi } from 'vitest';
import { L2Stores } from '../../lib/cache/shared/l2-stores.js';
import { InvalidationRedisError } from '../../lib/errors/index.js';
import type { L2StoreOptions } from '../../lib/transport/index.js';
import { RecordingStore } from './setup.js';

/** A store that records whether it is open. */
class Store extends RecordingStore {
  readonly states: string[] = [];
  constructor(readonly options: L2StoreOptions) {
    super();
  }
  override open(): void {
    this.states.push('open');
  }
  override close(): void {
    this.states.push('closed');
  }
}

function makeStores() {
  const made: Store[] = [];
  const transport = {
    l2Store: (options: L2StoreOptions) => {
      made.push(new Store(options));
      return made.at(-1)!;
    },
  };
  const report = vi.fn();
  const stores = new L2Stores(transport as never, { report } as never);
  return {
    stores,
    made,
    report,
    states: () => made.map(({ states }) => states.join()),
  };
}

describe('L2Stores', () => {
  it('makes one store for each connection', () => {
    const { stores, made } = makeStores();
    const own = stores.of(undefined);
    expect(stores.of('redis://a')).not.toBe(own);
    expect(stores.of(undefined)).toBe(own);
    expect(made.map(({ options }) => options.connection)).toEqual([
      undefined,
      'redis://a',
    ]);
  });

  it('opens all stores at once, and from then on each new one', () => {
    const { stores, states } = makeStores();
    stores.of(undefined);
    stores.of('redis://a');
    expect(states()).toEqual(['', '']);
    stores.open();
    stores.of('redis://b');
    expect(states()).toEqual(['open', 'open', 'open']);
  });

  it('closes one store, whose connection opens another one when it is used again', () => {
    const { stores, made, states } = makeStores();
    stores.open();
    const first = stores.of(undefined);
    stores.of('redis://a');
    stores.closeOne(undefined);
    expect(() => stores.closeOne('redis://unknown')).not.toThrow();
    expect(states()).toEqual(['open,closed', 'open']);
    expect(stores.of(undefined)).not.toBe(first);
    stores.close();
    expect(states()).toEqual(['open,closed', 'open,closed', 'open,closed']);
    expect(made).toHaveLength(3);
  });

  it('reports errors of a connection, and says what happens meanwhile', () => {
    const { stores, made, report } = makeStores();
    stores.of(undefined);
    const cause = new Error('ECONNREFUSED');
    made[0]!.options.onError(cause);
    const [error, source] = report.mock.lastCall as [
      InvalidationRedisError,
      string,
    ];
    expect(source).toBe('l2');
    expect(error).toBeInstanceOf(InvalidationRedisError);
    expect(error.cause).toBe(cause);
    expect(error.message).toBe(
      'Redis, of near caches: ECONNREFUSED. It is tried again; until then they load what they do not have in memory.',
    );
  });
});
