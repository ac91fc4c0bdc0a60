import { describe, expect, it } from 'vitest';
import { simulate, type Outcome, type SimulationOptions } from './simulate.js';

const SCHEDULES = Number(process.env.SIMULATION_SCHEDULES ?? 1_000);

/** Seed of the run: to repeat a failure, set SIMULATION_SEED to the printed one. */
const seed = Number(process.env.SIMULATION_SEED ?? Date.now() % 2 ** 31);

async function play(
  count: number,
  options?: SimulationOptions,
  from = seed,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let n = 0; n < count; n++) {
    outcomes.push(await simulate(from + n, options));
  }
  return outcomes;
}

function describeFailure({ seed: of, problems, schedule }: Outcome): string {
  return `The schedule of seed ${of} failed:\n${schedule}\n- ${problems.slice(0, 10).join('\n- ')}\nnpm run simulate -- --seed ${of} --schedules 1 --trace`;
}

const sum = (outcomes: readonly Outcome[], of: keyof Outcome): number =>
  outcomes.reduce((total, outcome) => total + Number(outcome[of]), 0);

describe('Simulation: schedules of faults on virtual time', () => {
  it(
    `leave no stale entry: ${SCHEDULES} from seed ${seed}`,
    { timeout: SCHEDULES * 1_000 },
    async () => {
      const outcomes = await play(SCHEDULES);
      const failed = outcomes.filter(({ problems }) => problems.length > 0);
      expect
        .soft(failed.slice(0, 3).map(describeFailure).join('\n\n'))
        .toBe('');
      expect(failed).toEqual([]);
      // The test proves something only if it had invalidations to deliver.
      expect(sum(outcomes, 'invalidations')).toBeGreaterThan(30 * SCHEDULES);
      expect(sum(outcomes, 'replayed')).toBeGreaterThan(SCHEDULES);
      expect(sum(outcomes, 'widened')).toBeGreaterThan(SCHEDULES);
    },
  );

  it('are deterministic for a seed', async () => {
    const once = await play(10);
    const again = await play(10);
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
    const outcomes = await play(100, options, 1);
    expect(sum(outcomes, 'stale')).toBeGreaterThan(0);
  });
});
