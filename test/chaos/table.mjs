import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

const PAGE = new URL('../../docs/guarantees.md', import.meta.url);
const IOREDIS = new URL(
  '../../node_modules/ioredis/package.json',
  import.meta.url,
);
const START = '<!-- chaos:start -->';
const END = '<!-- chaos:end -->';

const COLUMNS = [
  'fault',
  'sent',
  'delivered',
  'replayed',
  'widened',
  'stale at worst',
  'stale after healing',
  'coherent, p50',
  'max',
  'failed calls',
  'slowest call',
];

/** @param results all runs, in any order; a scenario's runs share a row */
export function tableOf(scenarios, results) {
  const rows = scenarios.flatMap(({ name, title }) => {
    const runs = results.filter((result) => result.name === name);
    return runs.length === 0 ? [] : [rowOf(title, runs)];
  });
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    line(COLUMNS),
    line(COLUMNS.map((_, index) => (index === 0 ? '---' : '--:'))),
    ...rows.map(line),
  ].join('\n');
}

function rowOf(title, runs) {
  const played = runs.filter(({ stale }) => stale !== undefined);
  if (played.length === 0) return [title, ...COLUMNS.slice(1).map(() => '–')];
  const total = (of) => played.reduce((sum, run) => sum + of(run), 0);
  const most = (of) => Math.max(...played.map(of));
  const coherent = played
    .flatMap(({ coherentAfter }) => coherentAfter)
    .toSorted((a, b) => a - b);
  const notPromised = total((run) => run.notPromised);
  return [
    title,
    count(total(({ sent }) => sent)),
    count(total(({ delivered }) => delivered)),
    count(total(({ replayed }) => replayed)),
    count(total(({ widened }) => widened)),
    count(most(({ peak }) => peak)),
    total(({ stale }) => stale.length) +
      (notPromised > 0 ? ` (and ${count(notPromised)} not promised)` : ''),
    ms(coherent[Math.floor(coherent.length / 2)]),
    ms(coherent.at(-1)),
    total(({ failedCalls }) => failedCalls),
    ms(most(({ slowestCall }) => slowestCall)),
  ];
}

function count(number) {
  return Math.round(number).toLocaleString('en-US');
}

function ms(value) {
  return `${Math.round(value)} ms`;
}

/** Replaces the section between the markers, and leaves the rest of the page. */
export async function writeTable({ table, runs, redisVersion, commandLine }) {
  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '# Guarantees\n';
  const section = `${START}\n\n${prose({ runs, redisVersion, commandLine })}\n\n${table}\n\n${END}`;
  const from = page.indexOf(START);
  const to = page.indexOf(END);
  const text =
    from === -1 || to === -1
      ? `${page.trimEnd()}\n\n## Under faults\n\n${section}\n`
      : page.slice(0, from) + section + page.slice(to + END.length);
  mkdirSync(new URL('.', PAGE), { recursive: true });
  const filepath = fileURLToPath(PAGE);
  const style = await resolveConfig(filepath);
  writeFileSync(PAGE, await format(text, { ...style, filepath }));
}

function prose({ runs, redisVersion, commandLine }) {
  const { version } = JSON.parse(readFileSync(IOREDIS, 'utf8'));
  const today = new Date().toISOString().slice(0, 10);
  const times = runs === 1 ? 'once' : `${runs} times`;
  return `Made by \`${commandLine}\` on ${today}: Redis ${redisVersion}, Node ${process.version}, ioredis ${version}, ${cpus().length} cores for all processes. Each scenario was played ${times}.

- Counts are sums over all runs, and over all instances (two that write, two that only read, unless the fault says otherwise); a batch or a pattern is one invalidation. An own message is delivered, too.
- Stale at worst: the most entries of one instance, at any moment, that were older than a change of more than 100 ms before. Stale after healing: of all entries of all instances, in memory and as a read would be served them from Redis, compared with the database when nothing was under way any more and a heartbeat (every 500 ms here, with a timeout of 400 ms) had passed.
- Coherent: from healing until an instance was last seen with an entry older than a change of more than 100 ms before, while rows went on changing in about half of the runs; for half-open links from the moment at which they broke.
- Failed calls: of decorated methods. The slowest call, without the time of the method's own body; \`publishTimeout\` is 200 ms.`;
}
