import { describe, expect, it } from 'vitest';
import { failuresOf, playAll, SCHEDULES, seed, sum } from './schedules.js';
import { simulate, type SimulationOptions } from './simulate.js';

describe('Simulation: schedules of faults on virtual time', () => {
  it(
    `leave no stale entry: ${SCHEDULES} from seed ${seed}`,
    { timeout: SCHEDULES * 1_000 },
    async () => {
      const outcomes = await playAll(simulate, SCHEDULES);
      expect(failuresOf(outcomes)).toBe('');
      // The test proves something only if it had invalidations to deliver.
      expect(sum(outcomes, 'invalidations')).toBeGreaterThan(30 * SCHEDULES);
      expect(sum(outcomes, 'replayed')).toBeGreaterThan(SCHEDULES);
      expect(sum(outcomes, 'widened')).toBeGreaterThan(SCHEDULES);
    },
  );

  it('are deterministic for a seed', async () => {
    const once = await playAll(simulate, 10);
    const again = await playAll(simulate, 10);
    expect(again).toEqual(once);
    expect(new Set(once.map(({ fingerprint }) => fingerprint)).size).toBe(10);
  });

  it('restore clocks, timers and randomness', async () => {
    const before = [setTimeout, Date.now, Math.random, performance.now];
    await simulate(seed);
    expect([setTimeout, Date.now, Math.random, performance.now]).toEqual(
      before,
    );
  });
});

describe('Simulation: the checker finds', () => {
  it.each<[title: string, options: SimulationOptions]>([
    [
      'stale entries without a journal and without widening',
      { journaled: false, sabotage: 'deaf' },
    ],
    ['stale entries with a journal, without widening', { sabotage: 'deaf' }],
    ['stale entries without a heartbeat', { sabotage: 'heartless' }],
  ])('%s', async (_, options) => {
    const outcomes = await playAll(simulate, 100, options, 1);
    expect(sum(outcomes, 'stale')).toBeGreaterThan(0);
  });
});
