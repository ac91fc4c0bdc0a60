/**
 * Compares this checkout with another commit. Both run their own benchmark in
 * turn, one round at a time, so that other load on the machine affects both.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { checkOut, ROOT } from './checkout.mjs';
import { median, ratio, spreadOf, spreadText } from './measure.mjs';

/**
 * @param ref commit, branch or tag
 * @returns one table with each figure of both commits, as medians of the rounds
 * @throws Error for an unknown ref, or a commit that does not build
 */
export async function against(ref, sections, rounds) {
  const { root: there, commit, remove } = checkOut(ref);
  const figures = { here: new Map(), there: new Map() };
  for (let round = 0; round < rounds; round++) {
    for (const section of sections) {
      process.stderr.write(`round ${round + 1} of ${rounds}: ${section} …\n`);
      collect(figures.here, await bench(ROOT, section));
      collect(figures.there, await bench(there, section));
    }
  }
  remove();
  return table(figures, ref, commit, rounds);
}

/** The tables that one checkout's benchmark prints for one section. */
async function bench(cwd, section) {
  const child = spawn(
    process.execPath,
    ['test/bench/main.mjs', '--rounds', '1', '--only', section],
    { cwd, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const kill = () => child.kill();
  process.once('exit', kill);
  let printed = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  const [code] = await once(child, 'close');
  process.off('exit', kill);
  if (code !== 0) {
    throw new Error(
      `The benchmark in ${cwd} ended with exit code ${code}:\n${errors}`,
    );
  }
  return printed;
}

/** Adds each number of a printed table to the figures of its place. */
function collect(figures, printed) {
  let title = '';
  let columns = [];
  for (const line of printed.split('\n')) {
    if (line.startsWith('## ')) title = line.slice(3);
    if (!line.startsWith('| ')) continue;
    const [name, ...cells] = line.slice(2, -2).split(' | ');
    if (name === '') columns = cells;
    if (name === '' || name.startsWith('---')) continue;
    for (const [at, cell] of cells.entries()) {
      const value = Number.parseFloat(cell.replaceAll(',', ''));
      if (Number.isNaN(value)) continue;
      const key = `${title}: ${name}, ${columns[at]}`;
      figures.set(key, [...(figures.get(key) ?? []), value]);
    }
  }
}

function table({ here, there }, ref, commit, rounds) {
  const rows = [...here]
    .filter(([name]) => there.has(name))
    .map(([name, values]) => {
      const others = there.get(name);
      const [now, then] = [median(values), median(others)];
      const spread = Math.max(spreadOf(values), spreadOf(others));
      return [
        name,
        String(then),
        String(now),
        then === 0 ? '' : ratio(now, then),
        spreadText(spread),
      ];
    });
  return {
    title: `This checkout against ${ref} (${commit})`,
    note: `Medians of ${rounds} rounds, in which both run their own benchmark in turn. The spread is the one between the quartiles.`,
    columns: ['there', 'here', 'here to there', 'spread'],
    rows,
  };
}
