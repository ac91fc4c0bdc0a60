// npm run spec -- --help
import { availableTools, search } from './search.mjs';
import { loadModels } from './models.mjs';
import * as delivery from './delivery-traces.mjs';
import * as fill from './fill-traces.mjs';
import { parseArgs } from 'node:util';

const HELP = `Searches every state of the models in test/spec, within the bounds that each
model states, and compares what is found with what is expected: each property
holds, and each mutant of a model violates one. Needs Debian's spin and a C compiler.

  npm run spec -- [options]

  --only <name>   only the runs whose name contains this
  --traces        renew the traces of deliveries and fills, which npm test replays
  --help          print this text`;

const abort = new AbortController();
// A terminal and npm send a signal twice.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => abort.abort());
}

process.exitCode = await main();

async function main() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        only: { type: 'string', default: '' },
        traces: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`);
    return 2;
  }
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const missing = availableTools();
  if (missing.length > 0) {
    console.error(
      `The models were not checked: not on the PATH: ${missing.join(', ')}.`,
    );
    return process.env.CI === 'true' ? 1 : 0;
  }
  try {
    return values.traces ? await writeTraces() : await checkAll(values.only);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    console.error('Interrupted.');
    return 130;
  }
}

async function checkAll(only) {
  const models = await loadModels();
  const chosen = models.flatMap(({ file, runs }) =>
    runs
      .filter(({ name }) => name.includes(only))
      .map((run) => ({ file, ...run })),
  );
  if (chosen.length === 0) {
    console.error(`No run has a name that contains "${only}".`);
    return 2;
  }
  const rows = [];
  for (const [index, run] of chosen.entries()) {
    process.stderr.write(
      `${index + 1} of ${chosen.length}: ${run.file}, ${run.name} … `,
    );
    const result = await search(run, abort.signal);
    process.stderr.write(
      `${result.found}, ${result.seconds.toFixed(1)} s${result.detail === '' ? '' : ` (${result.detail})`}\n`,
    );
    rows.push({ ...run, ...result });
  }
  console.log(`\n${tableOf(rows)}\n`);
  const failed = rows.filter(({ found, expected }) => found !== expected);
  for (const { name, found, expected, detail } of failed) {
    console.error(
      `${name}: expected "${expected}", found "${found}". ${detail}`,
    );
  }
  const current = only !== '' || (await areTracesCurrent());
  return failed.length === 0 && current ? 0 : 1;
}

async function writeTraces() {
  await delivery.writeTraces(abort.signal);
  fill.writeTraces();
  return 0;
}

async function areTracesCurrent() {
  const outdated = [
    ...((await delivery.areCurrent(abort.signal)) ? [] : ['the delivery']),
    ...(fill.areCurrent() ? [] : ['fills']),
  ];
  console.log(
    outdated.length === 0
      ? 'The stored traces begin with those that the models give now.'
      : `The stored traces of ${outdated.join(' and ')} are not those of the model: run npm run spec -- --traces.`,
  );
  return outdated.length === 0;
}

function tableOf(rows) {
  const states = rows.reduce((sum, { states: each }) => sum + each, 0);
  const seconds = rows.reduce((sum, { seconds: each }) => sum + each, 0);
  const cells = [
    ['run', 'property', 'expected', 'found', 'states stored', 'seconds'],
    ...rows.map((row) => [
      row.name,
      row.property,
      row.expected,
      row.found,
      row.states.toLocaleString('en'),
      row.seconds.toFixed(1),
    ]),
    ['all', '', '', '', states.toLocaleString('en'), seconds.toFixed(1)],
  ];
  const widths = cells[0].map((_, column) =>
    Math.max(...cells.map((row) => row[column].length)),
  );
  return cells
    .map((row) =>
      row
        .map((cell, column) =>
          column < 4
            ? cell.padEnd(widths[column])
            : cell.padStart(widths[column]),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
