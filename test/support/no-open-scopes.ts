import { strict as assert } from 'node:assert';
import { afterAll } from 'vitest';
import { openScopes } from '../../lib/publisher/scope-context.js';

const before = openScopes().work.count;

/**
 * Specs share a process, and with it the open scopes. One that leaves a scope open makes
 * shutdowns of later specs wait for it.
 */
afterAll(() => {
  const left = openScopes().work.count - before;
  assert.equal(left, 0, `This file has left ${left} scopes open.`);
});
