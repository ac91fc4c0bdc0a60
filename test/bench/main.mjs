/**
 * `npm run bench`: the module against raw ioredis doing the same work on the
 * same server, in one run, interleaved. Absolute numbers depend on the machine;
 * compare the ratios.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { format } from 'prettier';
import { against } from './against.mjs';
import { beside } from './beside.mjs';
import { bursts } from './bursts.mjs';
import { codec } from './codec.mjs';
import { decorator } from './decorator.mjs';
import { delivery, receiving } from './delivery.mjs';
import { idle } from './idle.mjs';
import { journal } from './journal.mjs';
import { latency } from './latency.mjs';
import { spreadText, takeLargestSpread } from './measure.mjs';
import { metrics, scrape } from './metrics.mjs';
import { eviction, nearCache } from './near-cache.mjs';
import { livePage } from './page.mjs';
import { peers } from './peers.mjs';
import { postgres } from './postgres.mjs';
import { awaitedPublish, publishThroughput } from './publish.mjs';
import { replay } from './replay.mjs';
import { regions } from './regions.mjs';
import { replica } from './replica.mjs';
import { startServer } from './server.mjs';
import { signing } from './signing.mjs';
import { stampede } from './stampede.mjs';

const USAGE = `Usage: npm run bench [-- options]
  --rounds N     rounds of each comparison (default 9)
  --only NAME    one section, or several: publish, throughput, delivery,
                 receiving, latency, replay, journal, decorator, codec, idle,
                 near-cache, eviction, stampede, beside, peers, bursts,
                 signing, regions, metrics, scrape, page, postgres,
                 replica
  --against REF  compare with another commit, which runs its own benchmark
  --write        renew docs/benchmarks.md, or with --only these sections of it
  --help         this text
REDIS_URL names a server to use; otherwise a redis-server is started.`;

const SECTIONS = {
  publish: awaitedPublish,
  throughput: publishThroughput,
  delivery,
  receiving,
  latency,
  replay,
  journal,
  decorator,
  codec,
  idle,
  'near-cache': nearCache,
  eviction,
  stampede,
  beside,
  peers,
  bursts,
  signing,
  regions,
  metrics,
  scrape,
  page: livePage,
  postgres,
  replica,
};

function options() {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: 'string', default: '9' },
        only: { type: 'string', multiple: true },
        against: { type: 'string' },
        write: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const rounds = Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1)
      throw new Error('--rounds must be a positive whole number');
    const only = values.only ?? Object.keys(SECTIONS);
    const unknown = only.find((name) => !(name in SECTIONS));
    if (unknown !== undefined) throw new Error(`unknown section: ${unknown}`);
    if (values.against !== undefined && values.write)
      throw new Error('use either --against or --write, not both');
    return { ...values, rounds, only, isPart: values.only !== undefined };
  } catch (error) {
    console.error(`${error.message}\n\n${USAGE}`);
    return process.exit(2);
  }
}

const { rounds, only, isPart, write, help, against: ref } = options();
if (help) {
  console.log(USAGE);
  process.exit(0);
}

if (ref !== undefined) {
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  try {
    console.log(`\n${markdown(await against(ref, only, rounds))}`);
  } catch (error) {
    console.error(`The comparison with ${ref} failed: ${error.message}`);
    process.exit(1);
  }
  process.exit(0);
}

const server = await startServer();
const stop = () => {
  server.stop();
  process.exit(130);
};
process.once('SIGINT', stop).once('SIGTERM', stop);

const tables = [];
for (const name of only) {
  process.stderr.write(`${name} …\n`);
  const table = await SECTIONS[name](server.url, rounds);
  const spread = `Largest spread between the quartiles of a row's first figure: ${spreadText(takeLargestSpread())}.`;
  table.note = table.note ? `${table.note} ${spread}` : spread;
  tables.push(table);
  console.log(`\n${markdown(table)}`);
}
server.stop();
if (write) await writePage(tables);
process.exit(0);

/** Writes the page; with `--only`, these sections in place of the ones on it. */
async function writePage(measured) {
  const path = new URL('../../docs/benchmarks.md', import.meta.url);
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'])
    .toString()
    .trim();
  const date = new Date().toISOString().slice(0, 10);
  const sections = new Map();
  if (isPart) {
    const [, ...old] = readFileSync(path, 'utf8').split(/^(?=## )/m);
    for (const text of old) sections.set(text.split('\n', 1)[0], text.trim());
  }
  for (const table of measured) {
    const note = `${table.note} Measured at commit ${commit} on ${date}, ${rounds} rounds.`;
    const text = markdown({ ...table, note }).trim();
    sections.set(text.split('\n', 1)[0], text);
  }
  const page = [introduction(), ...sections.values()].join('\n\n');
  writeFileSync(path, await format(page, { parser: 'markdown' }));
}

function introduction() {
  const { version } = JSON.parse(
    readFileSync(
      new URL('../../node_modules/ioredis/package.json', import.meta.url),
      'utf8',
    ),
  );
  return `# Benchmarks

Made by \`npm run bench -- --write\`: Node ${process.version}, ioredis ${version}, ${server.version}, ${cpus().length} × ${cpus()[0].model.trim()}, loopback. The contestants of a table take turns, round after round; each figure is the median of all rounds. The publisher, Redis and the receiver share ${cpus().length} cores. Absolute numbers depend on the machine; compare the ratios.`;
}

function markdown({ title, note, columns, rows }) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    `## ${title}`,
    '',
    ...(note ? [note, ''] : []),
    line(['', ...columns]),
    line(['---', ...columns.map(() => '--:')]),
    ...rows.map(line),
    '',
  ].join('\n');
}
