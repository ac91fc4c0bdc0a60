import { defineConfig } from 'vitest/config';
import { GLOBAL_SETUP, project, timeouts } from '../vitest.config.js';

/** Folders of test/ whose specs judge the mutants. */
const areas = process.env['MUTATION_AREAS']!.split(',');

export default defineConfig({
  ...project,
  test: {
    ...timeouts,
    globalSetup: GLOBAL_SETUP,
    include: areas.map((area) => `test/${area}/**/*.spec.ts`),
    // These specs run thousands of orders of reads and deliveries, for every
    // mutant.
    exclude: ['**/*races.spec.ts'],
  },
});
