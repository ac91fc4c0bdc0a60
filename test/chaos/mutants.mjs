import { MUTANTS as POSTGRES } from './postgres/mutants.mjs';
import { MUTANTS as REPLICA } from './replica/mutants.mjs';

/** Faults of caches with a bound, see `rights.mjs`. */
const RIGHTS = {
  'rights-without-bound': {
    scenario: 'rights-black-hole',
    problem: /served right:/,
    edits: [
      {
        file: 'cache/staleness-bound.js',
        from: 'this.source.bypass || this.source.withoutProof >= this.#max',
        to: 'this.source.bypass',
      },
    ],
  },
};

/**
 * Faults of the library that look right: texts of its compiled files, and what stands
 * there instead. The scenarios are those that must find stale entries with it.
 */
export const MUTANTS = { ...RIGHTS, ...POSTGRES, ...REPLICA };
