/** Loaded before the library: puts a fault of `mutants.mjs` into it, in this process. */
import { register } from 'node:module';

const name = process.env.CHAOS_MUTANT;
if (name) register('./mutate-hooks.mjs', import.meta.url, { data: name });
