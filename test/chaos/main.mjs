/**
 * `npm run chaos`: breaks everything between the instances and proves that no
 * cached entry stays stale.
 */
import { randomInt } from 'node:crypto';
import { explain } from './explain.mjs';
import { Host } from './host.mjs';
import { readOptions } from './options.mjs';
import { MUTANTS } from './mutants.mjs';
import { RedisServer } from './redis.mjs';
import { hasFailed, run } from './run.mjs';
import { tableOf, writeTable } from './table.mjs';

/**
 * Protections that are switched off, the scenarios to run without them, and the
 * tiers that must then have stale entries, or the problem that must be found.
 */
const BROKEN = [
  {
    broken: 'law',
    // Faults that certainly lose messages.
    names: [
      'subscriber-killed-repeatedly',
      'half-open-subscriptions',
      'partition-reader',
    ],
    tiers: ['memory'],
  },
  // Loads race updates all the time.
  { broken: 'fences', names: ['no-fault'], tiers: ['memory', 'Redis'] },
  {
    broken: 'relay-filter',
    names: ['regions-half-open'],
    problem: /in a loop/,
  },
  {
    broken: 'relay-chain',
    names: ['regions-cut-for-long'],
    tiers: ['memory', 'Redis'],
  },
  // The instances in the source notice the loss as well, and tell the other region.
  {
    broken: 'relay-chain',
    names: ['regions-restarted-older'],
    problem: /"everything" of us was published/,
  },
  {
    broken: 'relay-proof',
    names: ['regions-cut'],
    problem: /is cut off for .* but was proven/,
  },
  ...Object.entries(MUTANTS).map(([broken, { scenario, problem }]) => ({
    broken,
    names: [scenario],
    ...(problem === undefined ? { tiers: ['memory'] } : { problem }),
  })),
];
const SEEDS = 2 ** 31;

const options = readOptions();
// All child processes end with this process.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

const plays = options.broken
  ? BROKEN.flatMap(({ names, ...how }) =>
      options.chosen
        .filter(({ name }) => names.includes(name))
        .map((scenario) => ({ scenario, ...how })),
    )
  : options.chosen.map((scenario) => ({ scenario, broken: null }));
const scenarios = plays.map(({ scenario }) => scenario);
const { results, rounds } = await play();
const complaints = await Host.dismissAll();
for (const complaint of complaints) console.error(`A process ${complaint}`);
const table = tableOf([...new Set(scenarios)], results);
console.log(`\n${table}\n`);
if (options.write) await write();
process.exit(verdict());

async function play() {
  const deadline = performance.now() + options.minutes * 60_000;
  const all = [];
  let round = 0;
  for (; round < options.runs && performance.now() < deadline; round++) {
    for (const [index, each] of plays.entries()) {
      if (performance.now() > deadline) break;
      all.push(await playOne(each, `${index + 1}/${plays.length}`));
    }
  }
  return { results: all, rounds: round };
}

async function playOne({ scenario, broken, ...signs }, place) {
  const seed = options.seed ?? randomInt(SEEDS);
  process.stderr.write(`[${place}] ${scenario.name} … `);
  const began = performance.now();
  const result = await run(scenario, { ...options, broken, seed });
  const took = ((performance.now() - began) / 1_000).toFixed(1);
  const line = broken ? found(result, broken, signs) : explain(result);
  process.stderr.write(`${line} (${took} s)\n`);
  return result;
}

/**
 * Describes the stale entries of a broken library, or the problem that it must have.
 * Sets `missed` if a tier had none, or if there was no such problem.
 */
function found(result, broken, { tiers = [], problem }) {
  if (problem !== undefined) {
    const first = result.problems.find((each) => problem.test(each));
    result.missed = first === undefined;
    return `problem without the ${broken}: ${first ?? result.problems.join('\n  ')}`;
  }
  const counts = tiers.map((tier) => {
    const stale = (result.stale ?? []).filter((entry) => entry.tier === tier);
    return { tier, count: stale.length };
  });
  result.missed = counts.some(({ count }) => count === 0);
  const stale = counts.map(({ tier, count }) => `${count} in ${tier}`);
  return [
    `stale entries without the ${broken}: ${stale.join(', ')}`,
    ...(result.stale === undefined ? result.problems : []),
  ].join('\n  ');
}

function verdict() {
  const failed = results.filter(hasFailed);
  if (options.broken) {
    const missed = results.filter((result) => result.missed);
    console.log(
      missed.length === 0
        ? 'The checker found stale entries, or the problem, in every run, as it should.'
        : `The checker missed stale entries, or the problem, that must be there: ${namesOf(missed)}`,
    );
    return missed.length === 0 ? 0 : 1;
  }
  console.log(
    failed.length === 0
      ? `${results.length} runs without stale entries and failed calls.`
      : `${failed.length} of ${results.length} runs failed: ${namesOf(failed)}`,
  );
  return failed.length + complaints.length === 0 ? 0 : 1;
}

function namesOf(some) {
  return [...new Set(some.map(({ name }) => name))].join(', ');
}

async function write() {
  const server = await RedisServer.start();
  const redisVersion = await server.info('server', 'redis_version');
  await server.stop();
  const args = process.argv.slice(2).join(' ');
  const commandLine = `npm run chaos -- ${args}`;
  await writeTable({ table, runs: rounds, redisVersion, commandLine });
}
