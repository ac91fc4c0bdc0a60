import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { interleaved } from './measure.mjs';

const SCRIPT = fileURLToPath(new URL('idle.process.mjs', import.meta.url));

/** The memory of a Nest HTTP application that does nothing. */
export async function idle(url, rounds) {
  const run = (mode) => async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--expose-gc',
      SCRIPT,
      mode,
      url,
    ]);
    return JSON.parse(stdout);
  };
  const result = await interleaved(rounds, {
    'without the module': run('without'),
    'two clients of ioredis': run('clients'),
    'with the module': run('with'),
  });
  const base = result['without the module'];
  const mib = (value) => `${value.toFixed(1)} MiB`;
  return {
    title: 'An idle application',
    note: 'Resident memory and live heap, some seconds after the start and two forced garbage collections. The module has the same two clients.',
    columns: ['resident', 'on top', 'heap', 'on top'],
    rows: Object.entries(result).map(([name, { rss, heap }]) => [
      name,
      mib(rss),
      mib(rss - base.rss),
      mib(heap),
      mib(heap - base.heap),
    ]),
  };
}
