/**
 * Mutation tests: Stryker changes one operator, condition or literal of `lib/`
 * at a time, and a mutant that no spec fails for is one that the specs miss.
 * Each folder is judged by the specs of its own area, so a folder is one run.
 *
 *     npm run mutate                          every folder below
 *     npm run mutate -- --folder message      one of them
 *     npm run mutate -- --file lib/stream/fences.ts --file …
 *     npm run mutate -- --folder cache --quick
 *
 * `--quick` leaves out specs that start applications: a lower bound of the score,
 * in a fraction of the time.
 *
 * Reports are written to `.stryker/`, one page a folder.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Stryker } from '@stryker-mutator/core';

/** Folders of `lib/`, and the folders of `test/` whose specs judge them. */
const AREAS = {
  message: ['message'],
  stream: ['stream', 'errors'],
  publisher: ['publisher'],
  cache: ['cache'],
  subscriber: ['subscriber'],
};

const { values } = parseArgs({
  options: {
    folder: { type: 'string', multiple: true },
    file: { type: 'string', multiple: true },
    concurrency: { type: 'string', default: '2' },
    quick: { type: 'boolean', default: false },
  },
});

/** @returns globs to mutate, by folder */
function selection({ folder = Object.keys(AREAS), file }) {
  if (!file)
    return new Map(folder.map((name) => [name, [`lib/${name}/**/*.ts`]]));
  const files = new Map();
  for (const path of file) {
    if (!existsSync(path))
      throw new Error(`No file ${path}: pass a path of lib/.`);
    const name = path.split('/')[1];
    files.set(name, [...(files.get(name) ?? []), path]);
  }
  return files;
}

async function mutate(folder, globs) {
  const areas = AREAS[folder];
  if (!areas) {
    throw new Error(
      `Folder ${folder} is not mutated: choose ${Object.keys(AREAS).join(', ')}.`,
    );
  }
  process.env.MUTATION_AREAS = areas.join();
  process.env.MUTATION_FILES = globs.join();
  process.env.MUTATION_QUICK = values.quick ? '1' : '0';
  console.log(
    `\nlib/${folder}, judged by the specs of test/${areas.join(', test/')}`,
  );
  const stryker = new Stryker({
    mutate: [...globs, '!lib/**/index.ts'],
    testRunner: 'vitest',
    plugins: ['@stryker-mutator/vitest-runner'],
    vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
    concurrency: Number(values.concurrency),
    coverageAnalysis: 'perTest',
    tempDirName: '.stryker/tmp',
    ignorePatterns: ['dist', '.stryker', 'test/package'],
    reporters: ['progress-append-only', 'clear-text', 'html', 'json'],
    clearTextReporter: { allowColor: false, reportTests: false },
    htmlReporter: { fileName: `.stryker/${folder}.html` },
    jsonReporter: { fileName: `.stryker/${folder}.json` },
    allowConsoleColors: false,
    // Below it the exit code is 1.
    thresholds: { high: 100, low: 95, break: 95 },
  });
  await stryker.runMutationTest();
}

for (const [folder, globs] of selection(values)) await mutate(folder, globs);
