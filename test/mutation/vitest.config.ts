import { mergeConfig } from 'vitest/config';
import config from '../vitest.config.js';

/** Folders of test/ whose specs judge the mutants. */
const areas = process.env['MUTATION_AREAS']!.split(',');

const mutation = mergeConfig(config, {});
mutation.test.projects = undefined;
mutation.test.include = areas.map((area) => `test/${area}/**/*.spec.ts`);
// Every mutant would run thousands of orders of reads and deliveries.
mutation.test.exclude = ['**/*races.spec.ts'];
export default mutation;
