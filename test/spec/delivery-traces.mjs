import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { gunzipSync, gzipSync } from 'node:zlib';
import { execute } from './search.mjs';

const MODEL = join(import.meta.dirname, 'delivery.pml');
const FILE = join(import.meta.dirname, 'delivery-traces.txt.gz');
/** Distinct traces in the file. */
const COUNT = 12_000;
/** Seeds that `npm run spec` simulates to see whether the file is current. */
const SAMPLE = 4;
/** Steps of one simulation, which holds many traces. */
const STEPS = 1_000_000;

const FAULTS =
  'CUT CUT_COMMANDS LOSE REPEAT TRIM REMOVE FAILOVER HANG FAULTS=4 MESSAGES=2 SLOTS=4 PUBLISHERS=2';
/** Seeds take turns. */
const WORLDS = [
  FAULTS,
  `${FAULTS} FORGE FORGERIES=2 PLANT DELETE`,
  `${FAULTS} FORGE FORGERIES=2 HELD_LIMIT=2`,
  `${FAULTS} BOOT PLANT DELETE PAGE=2`,
].map((defines) => ['TRACE', ...defines.split(' ')].map((each) => `-D${each}`));

/** Simulates the model at random, and writes distinct traces of its cursors. */
export async function writeTraces(signal) {
  const traces = new Set();
  for (let seed = 1; traces.size < COUNT; seed++) {
    for (const trace of await simulate(seed, signal)) {
      if (traces.size < COUNT) traces.add(trace);
    }
    process.stderr.write(`seed ${seed}: ${traces.size} of ${COUNT} traces\n`);
  }
  const text = [...traces].join('\n');
  writeFileSync(FILE, gzipSync(text, { level: 9 }));
}

/** Whether the first seeds still give the traces that the file begins with. */
export async function areCurrent(signal) {
  const traces = new Set();
  for (let seed = 1; seed <= SAMPLE; seed++) {
    for (const trace of await simulate(seed, signal)) traces.add(trace);
  }
  const stored = gunzipSync(readFileSync(FILE)).toString().split('\n');
  return [...traces].every((trace, index) => trace === stored[index]);
}

/** The traces of one seed: one for each instance and each beginning. */
async function simulate(seed, signal) {
  const defines = WORLDS[seed % WORLDS.length];
  const { output } = await execute(
    'spin',
    [...defines, '-T', `-n${seed}`, `-u${STEPS}`, MODEL],
    tmpdir(),
    signal,
  );
  const done = [];
  const open = ['', ''];
  for (const line of output.split('\n')) {
    const event = /^(?<instance>[01]) (?<text>[a-z?=].*)$/.exec(line)?.groups;
    if (event === undefined) continue;
    const { instance, text } = event;
    if (text.startsWith('new') && open[instance] !== '') {
      done.push(open[instance]);
      open[instance] = '';
    }
    open[instance] += open[instance] === '' ? text : ` ${text}`;
  }
  return done;
}
