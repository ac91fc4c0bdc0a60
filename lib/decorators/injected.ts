import { Inject, Logger, Optional, type Type } from '@nestjs/common';
import { channel } from 'node:diagnostics_channel';
import { isSwitchedOff } from '../common/index.js';
import { isImported, modulesOf, needsModule } from '../handlers/index.js';
import { memberName } from './decorated-member.js';

/**
 * Diagnostics channel that has a subscriber once the process was warned. Jest gives each
 * test file its own globals, but shares the channels.
 */
const WARNED = channel('nestjs-cache-invalidation:warned-of-new');

/**
 * Adds a property dependency to the decorated class. Nest sets it on every instance,
 * whatever its scope, if the module is imported: see `needsModule`.
 *
 * @param but says, for the log, what the method does not do without the dependency
 * @returns `find`, which gives the dependency of an instance; `null` without one,
 * or where a test injects a mock in its place: then the method passes through
 * @internal
 */
export function injected<T extends object>(
  type: Type<T> | (abstract new (...args: never[]) => T),
  target: object,
  key: string | symbol,
  but: string,
): { find: (instance: unknown) => T | null; property: symbol } {
  const name = memberName(target, key);
  const property = Symbol(name);
  Inject(type)(target, property);
  Optional()(target, property);
  needsModule(target, key);
  let isReported = false;
  const reportOnce = (text: string): void => {
    if (isReported) return;
    isReported = true;
    new Logger('CacheInvalidation').error(text);
  };
  const report = (instance: unknown): void => {
    if (typeof instance !== 'object' || instance === null) {
      return reportOnce(
        `${name} was called without its instance: it works, but ${but}. Call it on the object that Nest made.`,
      );
    }
    const modules = modulesOf(instance);
    if (modules === undefined) return warnOfNew(name, but);
    if (!isImported(modules)) return;
    reportOnce(
      `${name} ${but}: CacheInvalidationModule is imported, but not where Nest makes the class. With \`isGlobal: false\` import it in that module too.`,
    );
  };
  const find = (instance: unknown): T | null => {
    const dependency = (instance as Record<symbol, unknown> | undefined)?.[
      property
    ];
    if (dependency instanceof type) return dependency;
    if (dependency === undefined) report(instance);
    return null;
  };
  return { find, property };
}

/** Warns once in a process: unit tests make such instances on purpose. */
function warnOfNew(name: string, but: string): void {
  if (WARNED.hasSubscribers || isSwitchedOff()) return;
  WARNED.subscribe(() => {});
  new Logger('CacheInvalidation').warn(
    `${name} was called on an instance that Nest did not make: it works, but ${but}. Others like it are not reported; CACHE_INVALIDATION_ENABLED=false silences this one too.`,
  );
}
