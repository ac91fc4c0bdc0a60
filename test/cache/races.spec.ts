/**
 * Every order in which two reads and two updates of one row can interleave, with
 * a near cache between.
 */
import { describe, expect, it } from 'vitest';
import { Dependencies } from '../../lib/cache/dependencies.js';
import { NearCache, resolveNearCache } from '../../lib/cache/index.js';
import {
  entity,
  Instance,
  pattern,
  type Invalidation,
} from '../../lib/message/index.js';
import { Fences, type Fence } from '../../lib/stream/index.js';

const KEY = '1';

/** Updates that both name the entry's own key. */
const OWN = [entity('User', KEY), entity('User', KEY)] as const;
/** Updates of which one or both name a dependency of the entry. */
const DEPENDENT = [
  [entity('Post', KEY), entity('User', KEY)],
  [entity('Post', KEY), pattern('post:*')],
] as const;

type Actor = 'R1' | 'R2' | 'W1' | 'W2';

/** Number of steps of each actor: start, query, answer; commit, deliver. */
const STEPS: Record<Actor, number> = { R1: 3, R2: 3, W1: 2, W2: 2 };

/** All orders of the actors' steps. */
function* schedules(left: Record<Actor, number>): Generator<Actor[]> {
  const actors = (Object.keys(left) as Actor[]).filter((a) => left[a] > 0);
  if (actors.length === 0) yield [];
  for (const actor of actors) {
    const rest = { ...left, [actor]: left[actor] - 1 };
    for (const tail of schedules(rest)) yield [actor, ...tail];
  }
}

interface Outcome {
  /** Whether the cached version at the end differs from the row's. */
  readonly stale: boolean;
  /** Whether a read that began after an update's delivery returned an older version. */
  readonly wentBack: boolean;
}

async function play(
  schedule: readonly Actor[],
  fenceOf: (fences: Fences) => Fence,
  said: readonly [Invalidation, Invalidation],
): Promise<Outcome> {
  const instance = new Instance('test');
  const fences = new Fences();
  const source = {
    fence: () => fenceOf(fences),
    position: null,
    bypass: false,
  };
  const options = resolveNearCache<number>({});
  const dependsOn = new Dependencies<number>(
    'races',
    () => entity('Post', KEY),
    null,
    (error) => {
      throw error;
    },
  );
  const cache = new NearCache<number>(
    'User',
    options,
    source,
    null,
    undefined,
    said.every(({ entityType }) => entityType === 'User') ? null : dependsOn,
  );
  let row = 0;
  let delivered = 0;
  let wentBack = false;
  const reads: Promise<unknown>[] = [];
  const reader = (): (() => void)[] => {
    let version: number | null = null;
    let answer: ((version: number) => void) | null = null;
    let isOver = false;
    const load = (): Promise<number> | number => {
      // A read that joined an overtaken load loads again: at once, if its own
      // steps are over.
      if (isOver) return row;
      version = null;
      return new Promise((resolve) => (answer = resolve));
    };
    return [
      () => {
        const atLeast = delivered;
        const read = cache.get(KEY, load).then((value) => {
          if (value < atLeast) wentBack = true;
        });
        reads.push(read);
      },
      () => (version = row),
      () => {
        isOver = true;
        answer?.(version ?? row);
      },
    ];
  };
  const writer = (what: Invalidation): (() => void)[] => {
    let version = 0;
    return [
      () => (version = ++row),
      () => {
        const message = instance.stamp(what);
        fences.record(message);
        cache.apply(message);
        delivered = Math.max(delivered, version);
      },
    ];
  };
  const [first, second] = said;
  const [W1, W2] = [writer(first), writer(second)];
  const actors = { R1: reader(), R2: reader(), W1, W2 };
  for (const actor of schedule) {
    actors[actor].shift()!();
    // Effects of the step run before the next one.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(reads);
  const cached = cache.peek(KEY);
  return { stale: cached !== undefined && cached !== row, wentBack };
}

/** Every order (`npm run races`), or one of 21. */
const EVERY = process.env['RACES'] === 'all' ? 1 : 21;
const TIMEOUT = 600_000 / EVERY;
const PLAYED = 25_200 / EVERY;

async function playAll(
  fenceOf: (fences: Fences) => Fence,
  said: readonly [Invalidation, Invalidation] = OWN,
): Promise<{ played: number; stale: number; wentBack: number }> {
  const total = { played: 0, stale: 0, wentBack: 0 };
  let at = 0;
  for (const schedule of schedules(STEPS)) {
    if (at++ % EVERY !== 0) continue;
    const { stale, wentBack } = await play(schedule, fenceOf, said);
    total.played++;
    if (stale) total.stale++;
    if (wentBack) total.wentBack++;
  }
  return total;
}

describe('NearCache: two reads and two updates of one row in every order', () => {
  it(
    'never keeps a stale entry, and no read goes back',
    async () => {
      const total = await playAll((fences) => fences.take());
      expect(total).toEqual({ played: PLAYED, stale: 0, wentBack: 0 });
    },
    TIMEOUT,
  );

  it.each(DEPENDENT)(
    'never keeps a stale entry when an update names a dependency: pair %#',
    async (...said) => {
      const total = await playAll((fences) => fences.take(), said);
      expect(total).toEqual({ played: PLAYED, stale: 0, wentBack: 0 });
    },
    TIMEOUT,
  );

  it(
    'keeps stale entries without the fence (the test can fail)',
    async () => {
      const total = await playAll(() => ({ holds: () => true }));
      expect(total.stale).toBeGreaterThan(0);
      expect(total.wentBack).toBeGreaterThan(0);
    },
    TIMEOUT,
  );

  it(
    'keeps stale entries if the fence ignores dependencies (the test can fail)',
    async () => {
      const ownOnly = (fences: Fences): Fence => {
        const fence = fences.take();
        return { holds: (key) => fence.holds(key) };
      };
      const total = await playAll(ownOnly, DEPENDENT[1]);
      expect(total.stale).toBeGreaterThan(0);
      expect(total.wentBack).toBeGreaterThan(0);
    },
    TIMEOUT,
  );
});
