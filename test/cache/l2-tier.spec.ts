import { describe, expect, it, vi } from 'vitest';
import { InvalidationConfigurationError } from '../../lib/errors/index.js';
import { batch, entity, everything, pattern } from '../../lib/message/index.js';
import { CHECKED_JSON } from '../../lib/cache/shared/serializers.js';
import { eventually } from '../support/eventually.js';
import {
  deferred,
  HandSource,
  makeTier,
  RecordingStore,
  turn,
} from './setup.js';

const MARK = 'near:~foreign:user:';
const NAME = 'near:user:1';
/** Later than any offset. */
const BEYOND = `${'9'.repeat(41)}-0`;

async function startTier(
  source = new HandSource(),
  ...more: Parameters<typeof makeTier<unknown>> extends [unknown, ...infer R]
    ? R
    : never
) {
  const made = makeTier<unknown>(source, ...more);
  await made.tier.ready;
  await turn();
  made.store.calls.length = 0;
  return {
    ...made,
    source,
    text: () => made.store.stored.get(NAME)?.toString(),
  };
}

function recalling(source: HandSource, holds = true): void {
  vi.spyOn(source, 'fenceAt').mockReturnValue({
    holds: () => holds,
    recalled: true,
  });
}

describe('L2Tier: reading', () => {
  it('serves an entry of an offset at which this instance was, with its fence and dependencies', async () => {
    const { tier, store, source } = await startTier();
    store.stored.set(NAME, Buffer.from('5-0\nd["post:1"]\nv{"a":1}'));
    const found = await tier.get('user:1');
    expect(found).toMatchObject({ value: { a: 1 }, dependencies: ['post:1'] });
    expect(found!.fence.holds('post:1')).toBe(true);
    source.hear(entity('Post', 1), '6-0');
    expect(found!.fence.holds('post:1')).toBe(false);
    expect(await tier.get('user:2')).toBeNull();
    expect(tier.stats).toEqual({
      l2Hits: 1,
      l2Refused: 0,
      l2Errors: 0,
      l2Unshared: 0,
    });
  });

  it.each([
    ['its key', entity('User', 1)],
    ['its dependency', entity('Post', 1)],
  ])(
    'refuses an entry from before a message about %s, and leaves it to others',
    async (_, said) => {
      const { tier, store, source } = await startTier();
      source.hear(said, '6-0');
      store.stored.set(NAME, Buffer.from('5-0\nd["post:1"]\nv1'));
      expect(await tier.get('user:1')).toBeNull();
      await turn();
      expect(tier.stats).toMatchObject({ l2Hits: 0, l2Refused: 1 });
      expect(store.of('drop')).toEqual([]);
    },
  );

  it('refuses and drops text that is no entry', async () => {
    const { tier, store } = await startTier();
    store.stored.set(NAME, Buffer.from('PWNED'));
    expect(await tier.get('user:1')).toBeNull();
    await eventually(() => expect(store.stored.size).toBe(0));
    expect(store.of('drop')).toEqual([`drop ${NAME} ${BEYOND}`]);
    expect(tier.stats).toMatchObject({ l2Refused: 1, l2Errors: 0 });
  });

  it.each([
    ['drops one beyond the end of the journal', '9-0', false, '5-0', true],
    ['leaves one that is in the journal', '9-0', true, '5-0', false],
    ['leaves one from before its own position', '4-0', false, '5-0', false],
    [
      'leaves it while its own position is not known',
      '9-0',
      false,
      null,
      false,
    ],
  ])(
    'refuses an entry of an unknown offset, and %s',
    async (_, offset, isReal, position, drops) => {
      const source = new HandSource();
      const { tier, store } = await startTier(source);
      if (!isReal) source.claimed.add(offset);
      source.position = position;
      store.stored.set(NAME, Buffer.from(`${offset}\nv1`));
      expect(await tier.get('user:1')).toBeNull();
      await turn();
      expect(store.of('drop')).toEqual(drops ? [`drop ${NAME} ${BEYOND}`] : []);
      expect(tier.stats).toMatchObject({ l2Refused: 1 });
    },
  );

  it('leaves an entry of its own position, at which it was not before tracking', async () => {
    const source = new HandSource();
    const { tier, store } = await startTier(source);
    source.position = '6-0';
    source.claimed.add('6-0');
    store.stored.set(NAME, Buffer.from('6-0\nv1'));
    expect(await tier.get('user:1')).toBeNull();
    await turn();
    expect(store.of('drop')).toEqual([]);
  });

  it('counts and reports an entry that cannot be read', async () => {
    const { tier, store, errors } = await startTier();
    store.stored.set(NAME, Buffer.from('5-0\nv{'));
    expect(await tier.get('user:1')).toBeNull();
    expect(tier.stats).toEqual({
      l2Hits: 0,
      l2Refused: 0,
      l2Errors: 1,
      l2Unshared: 0,
    });
    expect(errors).toHaveLength(1);
  });

  it('neither reads nor stores anything once it is disabled', async () => {
    const { tier, store } = await startTier();
    store.stored.set(NAME, Buffer.from('5-0\nv1'));
    tier.disable();
    expect(await tier.get('user:1')).toBeNull();
    void tier.put('user:2', '5-0', 1, 1_000);
    await turn();
    expect(store.calls).toEqual([]);
  });
});

describe('L2Tier: storing', () => {
  it('stores a value with its offset and dependencies, unless the offset is only claimed', async () => {
    const { tier, store, source } = await startTier();
    void tier.put('user:1', '5-0', { a: 1 }, 1_000, ['post:1']);
    void tier.put('user:2', '5-0', 1, 1_000);
    source.claimed.add('6-0');
    void tier.put('user:3', '6-0', 1, 1_000);
    await turn();
    expect(
      [...store.stored].map(([name, bytes]) => [name, bytes.toString()]),
    ).toEqual([
      [NAME, '5-0\nd["post:1"]\nv{"a":1}'],
      ['near:user:2', '5-0\nv1'],
    ]);
  });

  it('counts a value that cannot be shared, and stores nothing', async () => {
    const { tier, store, errors } = await startTier();
    void tier.put('user:1', '5-0', new Date(), 1_000);
    await turn();
    expect(store.calls).toEqual([]);
    expect(tier.stats).toMatchObject({ l2Unshared: 1, l2Errors: 0 });
    expect(errors[0]!.message).toContain('A value of user: would');
  });

  it('serializes nothing while too many writes are under way', async () => {
    const serialize = vi.fn(() => '1');
    const serializer = { serialize, deserialize: () => 1 };
    const { tier, store } = await startTier(new HandSource(), { serializer });
    const hung = deferred<void>();
    vi.spyOn(store, 'drop').mockReturnValue(hung.promise);
    const keys = Array.from({ length: 10_000 }, (_, id) => `user:${id}`);
    tier.drop(keys, new HandSource().hear(batch(keys), '6-0'));
    void tier.put('user:1', '5-0', 1, 1_000);
    expect(serialize).not.toHaveBeenCalled();
    hung.resolve();
    await eventually(() => {
      void tier.put('user:1', '5-0', 1, 1_000);
      expect(serialize).toHaveBeenCalled();
    });
  });
});

describe('L2Tier: messages', () => {
  it('drops the entries of its keys from before the message, and leaves no mark', async () => {
    const { tier, store, source } = await startTier();
    tier.drop(['user:1', 'user:2'], source.hear(entity('User', 1), '6-0'));
    await turn();
    expect(store.calls).toEqual([
      'drop near:user:1 6-0',
      'drop near:user:2 6-0',
    ]);
  });

  it.each([
    ['a foreign message', null, false, true],
    [
      'a foreign message with an offset of another kind',
      'partition 3',
      false,
      true,
    ],
    ['an own message that is not in the journal yet', null, true, false],
  ])(
    'drops entries up to its own position at %s',
    async (_, offset, own, isMarked) => {
      const source = new HandSource();
      source.position = '5-99999999999999999999';
      const { tier, store } = await startTier(source);
      const message = { ...source.hear(entity('User', 1)), own, offset };
      tier.drop(['user:1'], message);
      await turn();
      expect(store.of('drop')).toEqual([
        `drop ${NAME} 5-100000000000000000000`,
      ]);
      expect(store.calls.includes(`write ${MARK} 1`)).toBe(isMarked);
      const swept = await startTier(source);
      swept.tier.sweep('user:*', message);
      await turn();
      expect(swept.store.calls.includes(`write ${MARK} 1`)).toBe(isMarked);
      swept.tier.close();
    },
  );

  it('drops and sweeps nothing while its position is not known, but leaves its mark', async () => {
    const source = new HandSource();
    const { tier, store } = await startTier(source);
    source.position = null;
    const message = source.hear(entity('User', 1));
    tier.drop(['user:1'], message);
    tier.sweep('user:*', message);
    await turn();
    expect(store.calls).toEqual([`write ${MARK} 1`]);
  });

  it('sweeps entries that a pattern matches, unless the message was widened for this instance only', async () => {
    const { tier, store, source } = await startTier();
    const widened = source.hear(everything(), '6-0', {
      widened: 'gap' as never,
    });
    tier.sweep('*', widened);
    await turn();
    expect(store.calls).toEqual([]);
    store.stored.set(NAME, Buffer.from('5-0\nv1'));
    tier.sweep('user:*', source.hear(pattern('user:*'), '7-0'));
    await eventually(() => expect(store.stored.has(NAME)).toBe(false));
    expect(store.of('drop')).toEqual([`drop ${NAME} 7-0`]);
    tier.close();
  });

  it('does not sweep again at an offset that another instance has swept, but at a message without one', async () => {
    for (const [offset, scans] of [
      ['6-0', 0],
      [null, 1],
    ] as const) {
      const source = new HandSource();
      const { tier, store } = await startTier(source);
      source.position = '5-0';
      const swept = offset ?? '5-1';
      store.stored.set('near:~swept:user:', Buffer.from(swept));
      tier.sweep(
        'user:*',
        source.hear(pattern('user:*'), offset, { own: true }),
      );
      await turn();
      expect(store.of('scan')).toHaveLength(scans);
      tier.close();
    }
  });

  it('renews its mark when it stores an entry', async () => {
    const { tier, store, source } = await startTier();
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000_000);
    tier.drop([], source.hear(entity('User', 1)));
    now.mockReturnValue(1_060_000);
    void tier.put('user:2', '5-0', 1, 1_000);
    await turn();
    now.mockRestore();
    const marks = store.calls.filter((call) => call === `write ${MARK} 1`);
    expect(marks).toHaveLength(2);
  });

  it('gives its mark the ttl of its entries and a minute', async () => {
    const { tier, store, source } = await startTier(new HandSource(), {
      ttl: 5_000,
    });
    const write = vi.spyOn(store, 'write');
    tier.drop([], source.hear(entity('User', 1)));
    await turn();
    expect(write).toHaveBeenCalledWith(MARK, '1', 65_000);
  });

  it('does nothing more once it is closed', async () => {
    const { tier, store, source } = await startTier();
    tier.close();
    const message = source.hear(pattern('user:*'));
    tier.sweep('user:*', message);
    await turn();
    expect(store.calls).toEqual([]);
  });
});

describe('L2Tier: its start', () => {
  it('tracks positions, and recalls messages from before it once its store is open', async () => {
    const source = new HandSource();
    const track = vi.spyOn(source, 'trackPositions');
    const store = new RecordingStore();
    const open = deferred<void>();
    Object.assign(store, { opened: open.promise });
    const { tier } = makeTier<unknown>(source, {}, { store });
    expect(track).toHaveBeenCalledOnce();
    await turn();
    expect(source.recalls).toBe(0);
    open.resolve();
    await tier.ready;
    expect(source.recalls).toBe(1);
  });

  it('reads nothing before that', async () => {
    const source = new HandSource();
    const recall = deferred<void>();
    vi.spyOn(source, 'recall').mockReturnValue(recall.promise);
    const { tier, store } = makeTier<unknown>(source, { timeout: 60_000 });
    const reading = tier.get('user:1');
    await turn();
    expect(store.of('get')).toEqual([]);
    recall.resolve();
    expect(await reading).toBeNull();
    expect(store.of('get')).toHaveLength(1);
  });

  it('counts a serializer that fails, and a mark that cannot be left', async () => {
    const serialize = (): never => {
      throw new Error('of the serializer');
    };
    const serializer = { serialize, deserialize: () => 1 };
    const { tier, store, source } = await startTier(new HandSource(), {
      serializer,
    });
    void tier.put('user:1', '5-0', 1, 1_000);
    expect(tier.stats.l2Errors).toBe(1);
    vi.spyOn(store, 'write').mockRejectedValue(new Error('of Redis'));
    tier.drop([], source.hear(entity('User', 1)));
    await eventually(() => expect(tier.stats.l2Errors).toBe(2));
    tier.close();
  });

  it('trusts recalled offsets once all messages since then are known', async () => {
    const source = new HandSource();
    const { tier, store } = await startTier(source);
    recalling(source);
    store.stored.set(NAME, Buffer.from('1-0\nv1'));
    expect(await tier.get('user:1')).toMatchObject({ value: 1 });
    source.foreign = true;
    expect(await tier.get('user:1')).toBeNull();
    source.foreign = false;
    recalling(source, false);
    expect(await tier.get('user:1')).toBeNull();
    expect(tier.stats).toMatchObject({ l2Hits: 1, l2Refused: 2 });
  });

  it.each([
    ['another instance has left the mark of this tier', true, false],
    ['another instance has left the mark of the service', false, true],
  ])('does not trust recalled offsets if %s', async (_, ofTier, ofService) => {
    const source = new HandSource();
    const store = new RecordingStore();
    if (ofTier) store.stored.set(MARK, Buffer.from('1'));
    const serviceMark = { isLeft: async () => ofService };
    const { tier } = await startTier(source, {}, { store, serviceMark });
    expect(source.recalls).toBe(0);
    recalling(source);
    store.stored.set(NAME, Buffer.from('1-0\nv1'));
    expect(await tier.get('user:1')).toBeNull();
    // Offsets at which it was itself are right all the same.
    vi.mocked(source.fenceAt).mockRestore();
    store.stored.set(NAME, Buffer.from('5-0\nv1'));
    expect(await tier.get('user:1')).not.toBeNull();
  });

  it('does not trust recalled offsets if the journal cannot be read, and counts that', async () => {
    const source = new HandSource();
    vi.spyOn(source, 'recall').mockRejectedValue(new Error('away'));
    const { tier, store } = await startTier(source);
    recalling(source);
    store.stored.set(NAME, Buffer.from('1-0\nv1'));
    expect(await tier.get('user:1')).toBeNull();
    expect(tier.stats).toMatchObject({ l2Errors: 1 });
  });

  it('leaves its mark if this instance has received foreign messages before', async () => {
    for (const foreign of [true, false]) {
      const source = new HandSource();
      source.foreign = foreign;
      const { tier, store } = makeTier<unknown>(source);
      await tier.ready;
      await turn();
      expect(store.stored.has(MARK)).toBe(foreign);
    }
  });

  it('is ready once its serializer is, or has failed, which it reports', async () => {
    const loading = deferred<void>();
    const serializer = { ...CHECKED_JSON, ready: loading.promise };
    const { tier, errors } = makeTier<unknown>(new HandSource(), {
      serializer,
    });
    const ready = vi.fn();
    void tier.ready.then(ready);
    await turn();
    expect(ready).not.toHaveBeenCalled();
    const missing = new InvalidationConfigurationError('missing');
    loading.reject(missing);
    await tier.ready;
    expect(errors).toEqual([missing]);
  });
});
