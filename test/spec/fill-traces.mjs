/**
 * Random traces of `fill.pml`, which `fill-traces.spec.ts` replays against the real
 * near cache. Spin makes them; the repository keeps them, so that the specs need no
 * spin.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

const MODEL = fileURLToPath(new URL('fill.pml', import.meta.url));
const STORED = new URL('fill-traces.txt.gz', import.meta.url);

/** Traces in the repository, and the seed of which they are made. */
export const COUNT = 10_500;
export const SEED = 1;

/** Traces that `npm run spec` makes again. */
const SAMPLE = 300;

/** Events of one trace. */
const LENGTH = 32;
/** Steps of the simulation for each trace: more than it takes. */
const STEPS = 1_000;

/** Sizes and features of the model in these traces. */
export const SIZES = {
  INSTANCES: 2,
  CHANGES: 2,
  OTHERS: 2,
  RESTARTS: 1,
  FORGED: 1,
};
const FEATURES = ['LATE', 'DROPS', 'TTL', 'TRACE'];

/**
 * Distinct traces; the same seed yields the same ones. Each is a text of events, of
 * two characters each: the letter of the event as in `fill.pml`, and the instance,
 * load or writer.
 *
 * @param {number} count
 * @param {number} seed
 * @returns {string[]}
 */
export function makeTraces(count = COUNT, seed = SEED) {
  const defines = Object.entries({ ...SIZES, LENGTH }).map(
    ([name, value]) => `-D${name}=${value}`,
  );
  const args = [
    '-T',
    `-n${seed}`,
    `-u${count * STEPS}`,
    ...defines,
    ...FEATURES.map((name) => `-D${name}`),
    MODEL,
  ];
  const output = execFileSync('spin', args, {
    encoding: 'latin1',
    maxBuffer: 1_000_000_000,
  });
  const ended = output.slice(0, output.lastIndexOf('.\n'));
  const traces = new Set(
    ended.split('.\n').map((trace) => trace.match(/[a-z]\d$/gm)?.join('')),
  );
  if (traces.size < count) throw new Error(`Only ${traces.size} traces.`);
  return [...traces].slice(0, count);
}

/** @returns {string[]} the traces in the repository */
export function readTraces() {
  return gunzipSync(readFileSync(STORED)).toString().split('\n');
}

/** Makes the traces anew, and stores them. */
export function writeTraces() {
  const bytes = Buffer.from(makeTraces().join('\n'));
  writeFileSync(STORED, gzipSync(bytes, { level: 9 }));
}

/** Whether the model still makes the traces that the file begins with. */
export function areCurrent() {
  const stored = readTraces();
  return makeTraces(SAMPLE).every((trace, index) => trace === stored[index]);
}
