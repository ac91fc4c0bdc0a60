/** Ports of other databases that answer badly, and marks that are many. */
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { afterEach, expect, it, vi } from 'vitest';
import { NearCache, resolveNearCache } from '../../lib/cache/index.js';
import {
  entity,
  type CommitPosition,
  type Invalidation,
} from '../../lib/message/index.js';
import {
  MarkPosition,
  Marks,
  ReplicaMarks,
  Replicas,
} from '../../lib/replica/index.js';
import { deferred, HandSource, turn } from '../cache/setup.js';
import { startApp } from '../support/app.js';
import { HandReplica } from './hand-replica.js';

const open: Replicas[] = [];
afterEach(() => {
  for (const replicas of open.splice(0)) replicas.stop();
});

/** Positions of two histories, such as `a1` and `b1`, that cannot be compared. */
class TwoHistories extends HandReplica {
  override isBefore(one: string, other: string): boolean {
    if (!/^[ab]?\d+$/.test(one)) throw new TypeError('no position');
    if (/^\d/.test(one) !== /^\d/.test(other) || one[0] !== other[0]) {
      if (/^[ab]/.test(one + other)) throw new TypeError('not comparable');
    }
    return super.isBefore(one.replace(/^[ab]/, ''), other.replace(/^[ab]/, ''));
  }
}

/** A replica that answers when a test says so, such as a server that was promoted. */
class PromotedReplica extends HandReplica {
  #held: Promise<string> | null = null;

  holdAnswer() {
    const answer = deferred<string>();
    this.#held = answer.promise;
    return answer;
  }

  override async applied(): Promise<string> {
    const held = this.#held;
    this.#held = null;
    const now = await super.applied();
    return held ?? now;
  }
}

function setUp(replica = new HandReplica()) {
  const errors = { report: vi.fn(), log: vi.fn() };
  const source = new HandSource();
  const replicas = new Replicas(errors as never);
  open.push(replicas);
  const cache = new NearCache<string>(
    'User',
    resolveNearCache({ replica }),
    source,
    null,
    undefined,
    null,
    null,
    undefined,
    new ReplicaMarks(replicas.of(replica), 'user:', false),
  );
  const say = (said: Invalidation, at: CommitPosition | null = null): void =>
    cache.apply(source.hear(said, null, { at }));
  const isKept = async (id: string): Promise<boolean> => {
    await cache.get(id, () => 'old');
    return cache.peek(id) !== undefined;
  };
  const keepsIn = async (ms: number): Promise<boolean> => {
    await vi.waitFor(async () => expect(await isKept('1')).toBe(true), ms);
    return true;
  };
  return { replica, replicas, cache, say, isKept, keepsIn, errors };
}

it.each(['garbage', undefined, 5])(
  'An answer of the replica that is no position (%j) is not kept in mind',
  async (answer) => {
    const { replica, keepsIn, isKept, errors } = setUp();
    replica.at(answer as never);
    await isKept('0');
    await replica.wasAsked(2);
    expect(errors.report).toHaveBeenCalled();
    replica.at('1');
    expect(await keepsIn(3_000)).toBe(true);
  },
);

it.each(['garbage', undefined, 5])(
  'An answer of the primary that is no position (%j) is asked again',
  async (answer) => {
    const { replica, keepsIn, isKept } = setUp();
    replica.primary = answer as never;
    await isKept('0');
    await replica.wasAsked(2);
    replica.primary = '0';
    expect(await keepsIn(3_000)).toBe(true);
  },
);

it('Each cache has a turn of its own when marks end: each may have thousands', async () => {
  const { replicas, replica } = setUp();
  replica.primary = '5';
  const caches = ['user:', 'post:', 'comment:'].map(
    (family) => new ReplicaMarks(replicas.of(replica), family, false),
  );
  for (const marks of caches) marks.begin();
  await replica.wasAsked(2);
  const marked = () => caches.filter(({ pending }) => pending !== null).length;
  replica.at('9');
  const seen = new Set([marked()]);
  while (marked() > 0) {
    await turn();
    seen.add(marked());
  }
  expect([...seen]).toEqual([3, 2, 1, 0]);
});

it('An invalidation evicts also where its position cannot be compared with that of the mark', async () => {
  const { say, keepsIn, replica, cache, isKept } = setUp(new TwoHistories());
  expect(await keepsIn(3_000)).toBe(true);
  replica.hold();
  say(entity('User', '1'), { hand: 'a5' });
  // Another history has begun.
  say(entity('User', '1'), { hand: 'b3' });
  expect(cache.peek('1')).toBeUndefined();
  expect(await isKept('1')).toBe(false);
  replica.primary = '7';
  replica.at('8');
  expect(await keepsIn(3_000)).toBe(true);
});

it('A position that cannot be compared does not keep other marks', async () => {
  const { say, keepsIn, replica } = setUp(new TwoHistories());
  expect(await keepsIn(3_000)).toBe(true);
  say(entity('User', '2'), { hand: 'a5' });
  say(entity('User', '1'), { hand: '5' });
  replica.at('6');
  expect(await keepsIn(900)).toBe(true);
});

it('An answer of the server from before a connection ends no marks of the new one', async () => {
  const { replica, keepsIn, say, isKept } = setUp(new PromotedReplica());
  expect(await keepsIn(3_000)).toBe(true);
  const { resolve } = (replica as PromotedReplica).holdAnswer();
  replica.hold();
  replica.primary = '9';
  say(entity('User', '1'), { hand: '5' });
  await replica.wasAsked(1);
  replica.connect();
  // Everything is marked for the new server, which is at 1.
  expect(await isKept('2')).toBe(false);
  resolve('everything');
  await turn();
  expect(await isKept('3')).toBe(false);
  replica.at('10');
  expect(await keepsIn(3_000)).toBe(true);
});

it('A port that fails while its positions are read drops no invalidation', async () => {
  const { replica, say, keepsIn, cache, isKept } = setUp();
  expect(await keepsIn(3_000)).toBe(true);
  replica.hold();
  Object.defineProperty(replica, 'kind', {
    get: () => {
      throw new Error('no kind');
    },
  });
  say(entity('User', '1'), { hand: '5' });
  expect(cache.peek('1')).toBeUndefined();
  expect(await isKept('1')).toBe(false);
});

it.each([
  ['no function', {}, 0],
  ['a function that throws', () => expect.unreachable(), 1],
])(
  'A port whose onConnect() returned %s does not disturb the shutdown',
  (_, unlisten, reports) => {
    const replica = new HandReplica();
    replica.onConnect = () => unlisten as never;
    const { replicas, errors } = setUp(replica);
    replicas.stop();
    expect(errors.report).toHaveBeenCalledTimes(reports);
  },
);

it('A replica is listened to until its last cache ends', async () => {
  const { context } = await startApp({ quiet: true });
  const replica = new HandReplica();
  const unlisten = vi.fn();
  const onConnect = vi.spyOn(replica, 'onConnect').mockReturnValue(unlisten);
  const caches = context.get(NearCacheFactory);
  const [one, other] = [
    caches.create('User', { replica }),
    caches.create('Post', { replica }),
  ];
  expect(onConnect).toHaveBeenCalledOnce();
  one.close();
  expect(unlisten).not.toHaveBeenCalled();
  other.close();
  expect(unlisten).toHaveBeenCalledOnce();
});

it('A port that answers with promises keeps nothing', async () => {
  const replica = new HandReplica();
  replica.isBefore = (async () => false) as never;
  const { say, isKept } = setUp(replica);
  say(entity('User', '1'), { hand: '5' });
  await isKept('1');
  await replica.wasAsked(3);
  expect(await isKept('1')).toBe(false);
});

it('A position that the primary has not reached is not believed while other marks come and go', async () => {
  const { say, keepsIn, replica } = setUp();
  expect(await keepsIn(3_000)).toBe(true);
  replica.primary = '90';
  replica.at('91');
  say(entity('User', '1'), { hand: '999999999' });
  const traffic = setInterval(
    () => say(entity('User', '2'), { hand: '80' }),
    10,
  );
  try {
    expect(await keepsIn(3_000)).toBe(true);
  } finally {
    clearInterval(traffic);
  }
});

it('The primary is not asked twice for what is invalidated after a pause', async () => {
  const { say, keepsIn, replica } = setUp();
  expect(await keepsIn(3_000)).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  replica.hold();
  replica.primary = '90';
  const { current } = replica.asked;
  say(entity('User', '1'));
  await replica.wasAsked(4);
  expect(replica.asked.current).toBe(current + 1);
});

it('Marks of nearly as many families as fit collapse once', () => {
  const marks = new Marks();
  const later = vi.fn((one: MarkPosition) => one);
  const position = new MarkPosition('5');
  for (let n = 0; n < 9_990; n++) marks.add(`t${n}:1`, position, later);
  const start = performance.now();
  for (let n = 0; n < 9_900; n++) marks.add(`t${n}:2`, position, later);
  expect(performance.now() - start).toBeLessThan(500);
  expect(marks.covers(['t5:7'])).toBe(true);
});
