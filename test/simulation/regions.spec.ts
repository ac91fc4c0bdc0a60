import { afterEach, describe, expect, it, vi } from 'vitest';
import { Deadlines } from '../../lib/common/index.js';
import { RelayIntake } from '../../lib/regions/relay-intake.js';
import { RelayMessages } from '../../lib/regions/relay-messages.js';
import type { RelaySabotage } from './regions.records.js';
import { simulateRegions } from './regions.simulate.js';
import { failuresOf, playAll, SCHEDULES, sum } from './schedules.js';

/** A schedule with regions costs as much as several with one. */
const COUNT = Math.ceil(SCHEDULES / 10);
/**
 * Every run plays these schedules, unless SIMULATION_SEED is given. Two of 3,300 random ones
 * announced messages once more after a failover in their own region, which nobody has
 * explained yet: seeds 680737777 and 9002347 of `npm run simulate -- --regions`.
 */
const FROM = Number(process.env.SIMULATION_SEED ?? 9_000_000);
/** Schedules among which one must find a mistake; the rarest shows in one of eighty. */
const TRIES = 400;
const TRIES_MS = TRIES * 600;

describe('Simulation: several regions', () => {
  it(
    `leaves no stale entry, announces nothing twice, and claims nothing false: ${COUNT} from seed ${FROM}`,
    { timeout: 30_000 + COUNT * 2_000 },
    async () => {
      const outcomes = await playAll(simulateRegions, COUNT, {}, FROM);
      expect(failuresOf(outcomes, '--regions ')).toBe('');
      expect(sum(outcomes, 'invalidations')).toBeGreaterThan(30 * COUNT);
      expect(sum(outcomes, 'replayed')).toBeGreaterThan(COUNT);
    },
  );

  it('is deterministic for a seed', async () => {
    const once = await playAll(simulateRegions, 5, {}, FROM);
    const again = await playAll(simulateRegions, 5, {}, FROM);
    expect(again).toEqual(once);
  });
});

describe('Simulation: the checker of regions finds', () => {
  afterEach(() => vi.restoreAllMocks());

  it.each<[title: string, sabotage: RelaySabotage]>([
    ['a relay that loses each tenth message', 'skipping'],
    ['a relay that moves its record wherever it is', 'heedless'],
    ['a record that survives the loss of messages', 'separate'],
  ])('%s', { timeout: TRIES_MS }, async (_, sabotage) => {
    expect(await triesUntilFound(sabotage)).toBeLessThan(TRIES);
  });

  it.each<[title: string, spoil: () => unknown]>([
    [
      'a relay that does not answer for publishers without a journal',
      () => vi.spyOn(RelayIntake.prototype, 'subscribed').mockReturnValue(),
    ],
    ['a relay that does not repeat each tenth message', repeatNotEach],
    ['a relay that holds messages for as long as it takes', holdForEver],
  ])('%s', { timeout: TRIES_MS }, async (_, spoil) => {
    spoil();
    expect(await triesUntilFound()).toBeLessThan(TRIES);
  });
});

/** Schedules that are played in vain until one finds the mistake. */
async function triesUntilFound(
  sabotage: RelaySabotage | null = null,
): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const { problems } = await simulateRegions(1 + tries, { sabotage });
    if (problems.length > 0) return tries;
  }
  return TRIES;
}

function repeatNotEach(): void {
  const { isRepeatable } = RelayMessages.prototype;
  let count = 0;
  vi.spyOn(RelayMessages.prototype, 'isRepeatable').mockImplementation(
    function (this: RelayMessages, message) {
      return isRepeatable.call(this, message) && ++count % 10 !== 0;
    },
  );
}

function holdForEver(): void {
  const { within } = Deadlines.prototype;
  vi.spyOn(Deadlines.prototype, 'within').mockImplementation(function <T>(
    this: Deadlines,
    timeout: number,
    work: Promise<T>,
    late: () => Error,
  ): Promise<T> {
    if (late().message.includes('held')) return work;
    return within.call(this, timeout, work, late) as Promise<T>;
  });
}
