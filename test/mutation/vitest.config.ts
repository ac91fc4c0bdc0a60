import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { GLOBAL_SETUP, project } from '../vitest.config.js';
import { keepThread } from './kept-thread.js';

/** Folders of test/ whose specs judge the mutants. */
const areas = process.env['MUTATION_AREAS']!.split(',');

/** Names of the files that are mutated; none for a whole folder. */
const mutated = (process.env['MUTATION_FILES'] ?? '')
  .split(',')
  .map((path) => basename(path, '.ts'));

/**
 * The first failure ends a run, so specs that start applications are the last, and
 * those of the mutated files are the first.
 */
class ApplicationsLast extends BaseSequencer {
  override async sort(
    specs: TestSpecification[],
  ): Promise<TestSpecification[]> {
    return specs.toSorted(
      (a, b) =>
        starts(a.moduleId) - starts(b.moduleId) || others(a) - others(b),
    );
  }
}

/** 0 for a spec of a mutated file, which has its name or begins with it. */
function others({ moduleId }: TestSpecification): number {
  const spec = basename(moduleId);
  return mutated.some((name) => spec.startsWith(name)) ? 0 : 1;
}

/** How often a spec starts an application or a Redis. */
function starts(path: string): number {
  return readFileSync(path, 'utf8').split(/start(?:App|Redis)\(/).length - 1;
}

/** Specs of an area that start an application or a Redis. */
function slowSpecs(area: string): string[] {
  return readdirSync(`test/${area}`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.spec.ts'))
    .map((name) => join('test', area, name))
    .filter((path) => starts(path) > 0);
}

export default defineConfig({
  ...project,
  plugins: [keepThread],
  test: {
    // A mutant that hangs a test ends with it: Stryker would start a new process.
    testTimeout: 10_000,
    hookTimeout: 10_000,
    globalSetup: GLOBAL_SETUP,
    setupFiles: ['test/mutation/forget-mutant.ts'],
    sequence: { sequencer: ApplicationsLast },
    include: areas.map((area) => `test/${area}/**/*.spec.ts`),
    // For every mutant: thousands of orders of reads and deliveries, a million
    // messages, a cache of 50,000 entries for each test, and measurements of
    // processor time, which fail on a busy machine whatever the mutant is.
    exclude: [
      '**/*races.spec.ts',
      '**/long-outage.spec.ts',
      'test/cache/sweep.spec.ts',
      'test/cache/event-loop.spec.ts',
      ...(process.env['MUTATION_QUICK'] === '1'
        ? areas.flatMap(slowSpecs)
        : []),
    ],
  },
});
