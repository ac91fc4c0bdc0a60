import type { InvalidationScope } from './invalidation-scope.js';
import { OpenScopes } from './open-scopes.js';
import { processStore } from './process-store.js';

/** State of the process: a scope concerns all publishers. */
const STORE = processStore();

/** The scope that holds back what is published here and now. @internal */
export function currentScope(): InvalidationScope | null {
  return STORE.scopes === null ? null : openOf(STORE.scopes.getStore() ?? null);
}

/** Whether the caller is in the work of a scope, also of one that has given up. @internal */
export function isInScope(): boolean {
  let scope = STORE.scopes?.getStore() ?? null;
  while (scope !== null && !scope.isAtWork) scope = scope.parent;
  return scope !== null;
}

/** How many open scopes the caller is in. @internal */
export function scopeDepth(): number {
  let depth = 0;
  let scope = currentScope();
  for (; scope !== null; scope = openOf(scope.parent)) depth++;
  return depth;
}

/** Runs work that any caller may cause, and that no scope is to hold back. @internal */
export function outsideScopes<T>(work: () => T): T {
  return withinScope(null, work);
}

/** Runs work that belongs to a scope, from any caller. @internal */
export function withinScope<T>(
  scope: InvalidationScope | null,
  work: () => T,
): T {
  return STORE.scopes === null ? work() : STORE.scopes.run(scope, work);
}

/** The open scopes of the process. @internal */
export function openScopes(): OpenScopes {
  return (STORE.open ??= new OpenScopes());
}

/** The scope or, once it has ended, the one that it was part of. @internal */
export function openOf(
  scope: InvalidationScope | null,
): InvalidationScope | null {
  let open = scope;
  while (open?.ended === true) open = open.parent;
  return open;
}
