import type { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { InvalidationScope } from './invalidation-scope.js';
import type { OpenScopes } from './open-scopes.js';

/**
 * State of the process. A second copy of the package (an ES module beside a
 * bundle, a linked one) shares it: a scope of either holds back what the other
 * publishes.
 *
 * @internal
 */
export interface ProcessStore {
  /** Costs nothing until the first scope. */
  scopes: AsyncLocalStorage<InvalidationScope | null> | null;
  open: OpenScopes | null;
  /** Versions of the copies, by name. */
  readonly copies: Map<string, () => string>;
}

/** The number changes with what copies rely on of each other. */
const KEY = Symbol.for('nestjs-cache-invalidation/process/1');

/** @internal */
export function processStore(): ProcessStore {
  const holder = globalThis as { [KEY]?: ProcessStore };
  holder[KEY] ??= { scopes: null, open: null, copies: new Map() };
  return holder[KEY];
}

/**
 * Warns if the process has another version of the package in it.
 *
 * @param copy its name, which no other copy has
 * @param version of the copy
 * @internal
 */
export function registerCopy(
  { copies }: ProcessStore,
  copy: string,
  version: () => string,
): void {
  copies.set(copy, version);
  const versions = new Set([...copies.values()].map((each) => each()));
  if (versions.size === 1) return;
  new Logger('CacheInvalidation').warn(
    `This process has loaded nestjs-cache-invalidation in several versions (${[...versions].join(', ')}): decorators of one do not work with the module of the other. Let the package manager keep one copy (npm ls nestjs-cache-invalidation).`,
  );
}

/** The version of this copy. A constant, since CommonJS has no `import.meta` to find package.json by. @internal */
export const VERSION = '0.1.0';

registerCopy(processStore(), randomUUID(), () => VERSION);
