import { describe, expect, it, vi } from 'vitest';
import {
  InvalidationConfigurationError,
  InvalidationRedisError,
} from '../../lib/errors/index.js';
import { entity } from '../../lib/message/index.js';
import {
  L2Tiers,
  type L2TiersOptions,
} from '../../lib/cache/shared/l2-tiers.js';
import { ResolvedL2Options } from '../../lib/cache/shared/l2.options.js';
import { eventually } from '../support/eventually.js';
import { deferred, HandSource, RecordingStore, turn } from './setup.js';

const SERVICE_MARK = 'near:shop~foreign:all';

function optionsOf(options: Partial<ResolvedL2Options<unknown>> = {}) {
  return Object.assign(new ResolvedL2Options<unknown>(), options);
}

function makeTiers(given: Partial<L2TiersOptions> = {}, journaled = true) {
  const source = new HandSource();
  const whenForeign = vi.spyOn(source, 'whenForeign');
  const stores: RecordingStore[] = [];
  const made = vi.fn(() => {
    const store = new RecordingStore();
    vi.spyOn(store, 'open');
    vi.spyOn(store, 'close');
    stores.push(store);
    return store;
  });
  const errors = { report: vi.fn(), log: vi.fn() };
  const options = {
    enabled: true,
    serviceName: 'shop',
    channel: 'all',
    startupTimeout: 60_000,
    ...given,
  };
  const tiers = new L2Tiers(
    options,
    { journaled, l2Store: made } as never,
    source,
    errors as never,
  );
  return { tiers, source, whenForeign, stores, made, errors };
}

function messageOf(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch (error) {
    if (!(error instanceof InvalidationConfigurationError)) throw error;
    return error.message;
  }
}

describe('L2Tiers', () => {
  it('stores entries under the service, the owner or the prefix of the options', async () => {
    const { tiers, stores } = makeTiers();
    const all = [
      tiers.create('User', optionsOf(), undefined),
      tiers.create('User', optionsOf(), 'Users.find'),
      tiers.create('User', optionsOf({ keyPrefix: 'mine:' }), undefined),
      tiers.create('Post', optionsOf(), undefined),
    ];
    for (const tier of all) void tier!.put('user:1', '5-0', 1, 1_000);
    await eventually(() =>
      expect([...stores[0]!.stored.keys()]).toEqual([
        'near:shop:user:1',
        'near:shop#Users.find:user:1',
        'mine:user:1',
      ]),
    );
    expect(stores).toHaveLength(1);
  });

  it('makes a store for each connection', () => {
    const { tiers, made } = makeTiers();
    tiers.create('User', optionsOf({ connection: 'redis://a' }), undefined);
    expect(made.mock.calls).toMatchObject([[{ connection: 'redis://a' }]]);
  });

  it('creates none while the module is off, or once it is stopped', () => {
    const off = makeTiers({ enabled: false });
    const stopped = makeTiers();
    stopped.tiers.stop();
    for (const { tiers, made, errors } of [off, stopped]) {
      expect(tiers.create('User', optionsOf(), undefined)).toBeNull();
      expect(tiers.createIfPossible('User', optionsOf(), 'a')).toBeNull();
      expect(made).not.toHaveBeenCalled();
      expect(errors.log).not.toHaveBeenCalled();
    }
  });

  it('refuses a cache without the journal, and one whose names another cache has', () => {
    const without = makeTiers({}, false);
    expect(
      messageOf(() => without.tiers.create('User', optionsOf(), undefined)),
    ).toBe(
      'A near cache cannot be made:\n  - l2: it takes the journal. Give the option `journal`.',
    );
    const { tiers } = makeTiers();
    const tier = tiers.create('User', optionsOf(), undefined)!;
    expect(messageOf(() => tiers.create('User', optionsOf(), undefined))).toBe(
      'A near cache cannot be made:\n  - l2.keyPrefix: another cache of User has "near:shop:". Give each cache one of its own.',
    );
    tiers.create('User', optionsOf(), 'other');
    tiers.close(tier);
    expect(
      messageOf(() => tiers.create('User', optionsOf(), undefined)),
    ).toBeNull();
    expect(
      messageOf(() => tiers.create('User', optionsOf(), 'other')),
    ).not.toBeNull();
  });

  it('ends the sweeps and marks of a tier that it closes', () => {
    const { tiers } = makeTiers();
    const tier = tiers.create('User', optionsOf(), undefined)!;
    const close = vi.spyOn(tier, 'close');
    tiers.close(tier);
    expect(close).toHaveBeenCalledOnce();
  });

  it('warns of a decorated method without the journal, which shares nothing then', () => {
    const { tiers, errors } = makeTiers({}, false);
    expect(
      tiers.createIfPossible('User', optionsOf(), 'Users.find'),
    ).toBeNull();
    expect(errors.log.mock.calls).toEqual([
      [
        'warn',
        'Users.find shares nothing in Redis (option l2), since there is no journal: give the option journal.',
        'Users.find l2',
      ],
    ]);
  });

  it('warns of two classes of one name, of which neither shares anything', async () => {
    const { tiers, errors, stores } = makeTiers();
    const first = tiers.createIfPossible('User', optionsOf(), 'Users.find')!;
    expect(errors.log).not.toHaveBeenCalled();
    expect(
      tiers.createIfPossible('Post', optionsOf(), 'Users.find'),
    ).not.toBeNull();
    expect(
      tiers.createIfPossible('User', optionsOf(), 'Users.find'),
    ).toBeNull();
    expect(errors.log.mock.calls).toEqual([
      [
        'warn',
        'Users.find of two classes of one name cannot be told apart in Redis, so neither shares anything there: give each an l2.keyPrefix of its own.',
        'Users.find l2',
      ],
    ]);
    void first.put('user:1', '5-0', 1, 1_000);
    await turn();
    expect(stores[0]!.of('put')).toEqual([]);
  });

  it('refuses a decorated method whose own prefix another cache has', () => {
    const { tiers, errors } = makeTiers();
    const own = optionsOf({ keyPrefix: 'mine:' });
    expect(tiers.createIfPossible('User', own, 'a')).not.toBeNull();
    expect(messageOf(() => tiers.createIfPossible('User', own, 'b'))).toContain(
      '"mine:"',
    );
    expect(errors.log).not.toHaveBeenCalled();
  });

  it('reports errors of Redis together, and values that are not shared by the name of the cache', async () => {
    const { tiers, stores, errors } = makeTiers();
    const one = tiers.create('User', optionsOf(), undefined)!;
    const other = tiers.create('User', optionsOf(), 'Users.find')!;
    for (const tier of [one, other])
      void tier.put('user:1', '5-0', new Date(), 1_000);
    await one.ready;
    vi.spyOn(stores[0]!, 'get').mockRejectedValue(new Error('WRONGTYPE'));
    await one.get('user:1');
    const reports = errors.report.mock.calls as [Error, string][];
    expect(reports.map(([, source]) => source)).toEqual([
      'User l2 values',
      'Users.find l2 values',
      'l2',
    ]);
    expect(reports[1]![0].message).toContain('A value of Users.find would');
    expect(reports[2]![0]).toBeInstanceOf(InvalidationRedisError);
  });
});

describe('L2Tiers: start and stop', () => {
  it('connects, and waits until all tiers are ready', async () => {
    const { tiers, source, stores } = makeTiers();
    const recall = deferred<void>();
    vi.spyOn(source, 'recall').mockReturnValue(recall.promise);
    tiers.create('User', optionsOf(), undefined);
    const started = vi.fn();
    const starting = tiers.start().then(started);
    expect(stores[0]!.open).toHaveBeenCalledOnce();
    await turn();
    expect(started).not.toHaveBeenCalled();
    recall.resolve();
    await starting;
    expect(started).toHaveBeenCalledOnce();
  });

  it('waits no longer than startupTimeout, and for nothing without tiers', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { tiers, source } = makeTiers({ startupTimeout: 5 });
    await tiers.start();
    expect(vi.getTimerCount()).toBe(0);
    vi.spyOn(source, 'recall').mockReturnValue(new Promise(() => {}));
    tiers.create('User', optionsOf(), undefined);
    const starting = tiers.start();
    await turn();
    vi.advanceTimersByTime(5);
    vi.useRealTimers();
    await expect(starting).resolves.toBeUndefined();
  });

  it('closes its tiers and stores when it stops, and leaves no mark from then on', async () => {
    const { tiers, stores, source } = makeTiers();
    const tier = tiers.create('User', optionsOf(), undefined)!;
    const close = vi.spyOn(tier, 'close');
    tiers.stop();
    expect(close).toHaveBeenCalledOnce();
    expect(stores[0]!.close).toHaveBeenCalledOnce();
    source.hear(entity('User', 1));
    vi.mocked(source.whenForeign).mock.calls[0]![0]();
    await turn();
    expect(stores[0]!.stored.has(SERVICE_MARK)).toBe(false);
  });
});

describe('L2Tiers: the mark of the service', () => {
  it('is left at a foreign message, also without tiers, and keeps no connection then', async () => {
    const { whenForeign, stores } = makeTiers();
    expect(whenForeign).toHaveBeenCalledOnce();
    whenForeign.mock.calls[0]![0]();
    const [store] = stores as [RecordingStore];
    const write = vi.spyOn(store, 'write');
    await eventually(() => expect(store.close).toHaveBeenCalledOnce());
    expect(write.mock.calls).toEqual([[SERVICE_MARK, '1', 86_460_000]]);
  });

  it('keeps the connection that tiers use, and outlives their entries', async () => {
    const { tiers, whenForeign, stores } = makeTiers();
    tiers.create('Post', optionsOf({ ttl: 100_000_000 }), undefined);
    tiers.create('User', optionsOf(), undefined);
    const [store] = stores as [RecordingStore];
    const write = vi.spyOn(store, 'write');
    whenForeign.mock.calls[0]![0]();
    await turn();
    expect(write.mock.calls).toEqual([[SERVICE_MARK, '1', 100_060_000]]);
    expect(store.close).not.toHaveBeenCalled();
  });

  it('closes its connection if it cannot be left, and reports nothing', async () => {
    const { tiers, whenForeign, made, errors } = makeTiers();
    const failing = new RecordingStore();
    const close = vi.spyOn(failing, 'close');
    vi.spyOn(failing, 'write').mockRejectedValue(new Error('away'));
    made.mockReturnValueOnce(failing);
    whenForeign.mock.calls[0]![0]();
    await eventually(() => expect(close).toHaveBeenCalledOnce());
    expect(errors.report).not.toHaveBeenCalled();
    tiers.stop();
  });

  it('keeps tiers that start later from trusting the journal', async () => {
    const { tiers, whenForeign, source, stores, made } = makeTiers();
    const shared = new Map<string, Buffer>();
    made.mockImplementation(() => {
      stores.push(new RecordingStore(shared));
      return stores.at(-1)!;
    });
    whenForeign.mock.calls[0]![0]();
    await eventually(() => expect(shared.has(SERVICE_MARK)).toBe(true));
    await tiers.create('User', optionsOf(), undefined)!.ready;
    expect(source.recalls).toBe(0);
  });

  it.each([
    ['the module is off', { enabled: false }, true],
    ['there is no journal', {}, false],
  ])('is not left while %s', (_, options, journaled) => {
    expect(makeTiers(options, journaled).whenForeign).not.toHaveBeenCalled();
  });
});
