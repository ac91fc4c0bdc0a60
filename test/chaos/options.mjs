import { parseArgs } from 'node:util';
import { scenarios } from './scenarios/index.mjs';

const USAGE = `Usage: npm run chaos [-- options]
Real Redis servers, applications in processes of their own, a proxy between them:
breaks things in every way it knows and compares every entry of every near cache,
in memory and in Redis, with the database once they have healed. Exit code 1 if
one is stale, if a decorated call or a read failed, or if a process died or did
not end.
  --short        the short form of every scenario (default)
  --only NAMES   these scenarios only, separated by commas
  --runs N       each scenario N times (default 1)
  --minutes M    round after round for as long as that, in the long form unless
                 --short: faults outlast every timeout
  --seed N       choose as the run with that seed did; times differ all the same
  --write        write the table into docs/guarantees.md
  --broken       proves that the checker can fail: without journal and widening
                 there must be stale entries, and without fences in both tiers
  --list         the names of the scenarios
  --help         this text
REDIS_SERVER names the redis-server to use.`;

/** What the command line says; ends the process where that is all there is to do. */
export function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        short: { type: 'boolean', default: false },
        only: { type: 'string' },
        runs: { type: 'string' },
        minutes: { type: 'string' },
        seed: { type: 'string' },
        write: { type: 'boolean', default: false },
        broken: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return leaveWith(USAGE);
    if (values.list) return leaveWith(listed());
    return checked(values);
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    return process.exit(2);
  }
}

function checked({ runs, minutes, seed, only, short, ...values }) {
  if (runs !== undefined && minutes !== undefined) {
    throw new Error('--runs and --minutes do not go together');
  }
  if (values.write && (only !== undefined || values.broken)) {
    throw new Error('--write is for a run of all scenarios');
  }
  return {
    ...values,
    runs: minutes === undefined ? whole('--runs', runs ?? '1') : Infinity,
    minutes: minutes === undefined ? Infinity : whole('--minutes', minutes),
    seed: seed === undefined ? null : whole('--seed', seed),
    long: minutes !== undefined && !short,
    chosen: choose(only),
  };
}

function choose(only) {
  if (only === undefined) return scenarios;
  return only.split(',').map((name) => {
    const scenario = scenarios.find((each) => each.name === name);
    if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
    return scenario;
  });
}

function whole(option, text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) {
    throw new Error(`${option} takes a whole number`);
  }
  return number;
}

function listed() {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  return scenarios
    .map(({ name, title }) => `${name.padEnd(width)}  ${title}`)
    .join('\n');
}

function leaveWith(text) {
  console.log(text);
  return process.exit(0);
}
