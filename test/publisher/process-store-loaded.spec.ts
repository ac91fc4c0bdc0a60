import { expect, it } from 'vitest';

it('The store of the process has a name that all versions know, and the version of each copy', async () => {
  // Loaded here and not above, so that a failure to load is one of this test.
  const { processStore, VERSION } =
    await import('../../lib/publisher/process-store.js');
  const store = processStore();
  expect(processStore()).toBe(store);
  const key = Symbol.for('nestjs-cache-invalidation/process/1');
  expect((globalThis as Record<symbol, unknown>)[key]).toBe(store);
  const versions = [...store.copies.values()].map((version) => version());
  expect(versions).toContain(VERSION);
});
