/**
 * `npm run bench:guard`: fails if a message costs more CPU time than at an earlier
 * commit. Both libraries take turns on one server.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { checkOut, git, ROOT } from './checkout.mjs';
import { median, us } from './measure.mjs';
import { startServer } from './server.mjs';

const USAGE = `Usage: npm run bench:guard [-- options]
  --against REF  the commit to compare with (default: the last release tag, or
                 that of test/bench/baseline.json)
  --rounds N     rounds of the comparison (default 9)
  --help         this text`;

/** How much more a message may cost. */
const TOLERANCE = 0.15;
const PROCESS = fileURLToPath(new URL('cost.process.mjs', import.meta.url));

const values = options();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

const ref = values.against ?? lastRelease();
if (!isThere(ref) && git('rev-parse', '--is-shallow-repository') === 'true') {
  console.log(
    `Nothing was compared: this clone is shallow and has no ${ref}. Fetch the whole history.`,
  );
  process.exit(0);
}
const there = checkOut(ref);
const server = await startServer();
const ratios = {};
const costs = {};
const { rounds } = values;
for (let round = 0; round < rounds; round++) {
  process.stderr.write(`round ${round + 1} of ${rounds} …\n`);
  const before = await cost(there.root);
  const now = await cost(ROOT);
  for (const name of Object.keys(now)) {
    (ratios[name] ??= []).push(now[name] / before[name]);
    (costs[name] ??= []).push(now[name]);
  }
}
server.stop();
there.remove();

const slower = Object.entries(ratios).filter(([name, each]) => {
  const change = median(each);
  console.log(
    `${name}: ${us(median(costs[name]))} of CPU time a message, ${change.toFixed(2)} times that of ${ref} (${there.commit})`,
  );
  return change > 1 + TOLERANCE;
});
if (slower.length > 0) {
  const names = slower.map(([name]) => name).join(', ');
  console.error(
    `More than ${TOLERANCE * 100} % slower: ${names}. Profile it (node --cpu-prof), or name this commit in test/bench/baseline.json if that is the price of something better.`,
  );
  process.exit(1);
}
process.exit(0);

function options() {
  try {
    const { values: given } = parseArgs({
      options: {
        against: { type: 'string' },
        rounds: { type: 'string', default: '9' },
        help: { type: 'boolean', default: false },
      },
    });
    const count = Number(given.rounds);
    if (!Number.isInteger(count) || count < 1)
      throw new Error('--rounds must be a positive whole number');
    return { ...given, rounds: count };
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    return process.exit(2);
  }
}

function lastRelease() {
  try {
    return git('describe', '--tags', '--abbrev=0');
  } catch {
    const file = readFileSync(`${ROOT}/test/bench/baseline.json`, 'utf8');
    return JSON.parse(file).commit;
  }
}

function isThere(commit) {
  try {
    git('cat-file', '-e', `${commit}^{commit}`);
    return true;
  } catch {
    return false;
  }
}

async function cost(root) {
  const { stdout } = await promisify(execFile)(process.execPath, [
    PROCESS,
    root,
    server.url,
  ]);
  return JSON.parse(stdout);
}
