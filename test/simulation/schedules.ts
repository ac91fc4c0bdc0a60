import type { Outcome } from './simulate.js';

/** Seed of the run: to repeat a failure, set SIMULATION_SEED to the printed one. */
export const seed = Number(process.env.SIMULATION_SEED ?? Date.now() % 2 ** 31);

/** Schedules that a run of the specs plays, with one region. */
export const SCHEDULES = Number(process.env.SIMULATION_SCHEDULES ?? 1_000);

/** Plays consecutive seeds. */
export async function playAll<O>(
  simulate: (seed: number, options?: O) => Promise<Outcome>,
  count: number,
  options?: O,
  from = seed,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let n = 0; n < count; n++) {
    outcomes.push(await simulate(from + n, options));
  }
  return outcomes;
}

/** The first schedules that failed, for people; empty if none did. */
export function failuresOf(outcomes: readonly Outcome[], option = ''): string {
  return outcomes
    .filter(({ problems }) => problems.length > 0)
    .slice(0, 3)
    .map(
      ({ seed: of, problems, schedule }) =>
        `The schedule of seed ${of} failed:\n${schedule}\n- ${problems.slice(0, 10).join('\n- ')}\nnpm run simulate -- ${option}--seed ${of} --schedules 1 --trace`,
    )
    .join('\n\n');
}

export const sum = (outcomes: readonly Outcome[], of: keyof Outcome): number =>
  outcomes.reduce((total, outcome) => total + Number(outcome[of]), 0);
