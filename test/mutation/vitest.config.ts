import { mergeConfig } from 'vitest/config';
import config from '../vitest.config.js';

/** Folders of test/ whose specs judge the mutants. */
const areas = process.env['MUTATION_AREAS']!.split(',');

const mutation = mergeConfig(config, {});
mutation.test.include = areas.map((area) => `test/${area}/**/*.spec.ts`);
// A mutant would take as long as all orders of them.
mutation.test.exclude.push('**/*races.spec.ts');
export default mutation;
