import { describe, expect, it } from 'vitest';
import type { RelaySabotage } from './regions.records.js';
import { simulateRegions } from './regions.simulate.js';
import { failuresOf, playAll, SCHEDULES, seed, sum } from './schedules.js';

/** A schedule with regions costs as much as several with one. */
const COUNT = Math.ceil(SCHEDULES / 5);

describe('Simulation: several regions', () => {
  it(
    `leaves no stale entry, announces nothing twice, and claims nothing false: ${COUNT} from seed ${seed}`,
    { timeout: 30_000 + COUNT * 2_000 },
    async () => {
      const outcomes = await playAll(simulateRegions, COUNT);
      expect(failuresOf(outcomes, '--regions ')).toBe('');
      expect(sum(outcomes, 'invalidations')).toBeGreaterThan(30 * COUNT);
      expect(sum(outcomes, 'replayed')).toBeGreaterThan(COUNT);
    },
  );

  it('is deterministic for a seed', async () => {
    const once = await playAll(simulateRegions, 5);
    const again = await playAll(simulateRegions, 5);
    expect(again).toEqual(once);
  });
});

describe('Simulation: the checker of regions finds', () => {
  it.each<[title: string, sabotage: RelaySabotage]>([
    ['a relay that loses each tenth message', 'skipping'],
    ['a relay that moves its record wherever it is', 'heedless'],
    ['a record that survives the loss of messages', 'separate'],
  ])('%s', async (_, sabotage) => {
    const outcomes = await playAll(simulateRegions, 60, { sabotage }, 1);
    const found = outcomes.filter(({ problems }) => problems.length > 0);
    expect(found.length).toBeGreaterThan(0);
  });
});
