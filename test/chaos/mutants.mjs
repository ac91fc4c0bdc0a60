import { MUTANTS as POSTGRES } from './postgres/mutants.mjs';
import { MUTANTS as REPLICA } from './replica/mutants.mjs';

/**
 * Faults of the library that look right: texts of its compiled files, and what stands
 * there instead. The scenarios are those that must find stale entries with it.
 */
export const MUTANTS = { ...POSTGRES, ...REPLICA };
