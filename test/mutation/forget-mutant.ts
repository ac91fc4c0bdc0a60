import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** Stryker's: the name of its global object. */
    globalNamespace: string;
    /** Stryker's: a static mutant is active while modules are loaded. */
    mutantActivation: 'static' | 'runtime' | undefined;
  }
}

type Globals = Record<string, { activeMutant?: string } | undefined>;

// Any other mutant becomes active when the tests run. Until then the kept thread
// would have the mutant of the run before.
if (inject('mutantActivation') !== 'static') {
  const stryker = (globalThis as unknown as Globals)[inject('globalNamespace')];
  if (stryker !== undefined) delete stryker.activeMutant;
}

// Scopes that a mutant never ended would be open for all later mutants.
for (const key of Object.getOwnPropertySymbols(globalThis)) {
  if (Symbol.keyFor(key)?.startsWith('nestjs-cache-invalidation/')) {
    Reflect.deleteProperty(globalThis, key);
  }
}
