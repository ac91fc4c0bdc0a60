import type { EntityType, Invalidation } from '../message/index.js';
import type { Method } from './copy-method.js';

/** Metadata of a class member: its decorations, the first one read first. */
const DECORATIONS = Symbol('CacheInvalidation.decorations');

/** A decorator of a method, for checks and reports at the start. @internal */
export interface Decoration {
  readonly does: 'invalidates' | 'caches';
  /** Entity type or pattern, for the log. */
  readonly what: string;
  /** `null` for patterns. */
  readonly type: EntityType | null;
  /** Entities that it may concern; `null` if only a call can tell. */
  readonly covers: Invalidation | null;
  /** Whether the selector reads `this`. */
  readonly seesInstance: boolean;
  /** Property in which Nest sets the decorator's dependency, on each instance. */
  readonly property: symbol;
}

/** Name of class and method, for logs and errors. @internal */
export function memberName(target: object, key: string | symbol): string {
  const { name } = typeof target === 'function' ? target : target.constructor;
  return `${name}.${String(key)}`;
}

/**
 * Finds the method that a decorator decorates.
 *
 * @param decorator its name in the source, such as `@Cached()`
 * @throws TypeError, by the member's name, for a property, an accessor or a generator
 * @internal
 */
export function methodUnder(
  target: object,
  key: string | symbol,
  // Plain JavaScript may decorate a property, which has no descriptor.
  descriptor: PropertyDescriptor | undefined,
  decorator: string,
): Method {
  checkLegacy(key, decorator);
  const method: unknown = descriptor?.value;
  const name = memberName(target, key);
  if (typeof method !== 'function') {
    throw new TypeError(
      `${name} is not a method: ${decorator} decorates methods, and neither accessors nor properties that hold a function. Write it as a method.`,
    );
  }
  if (method.constructor.name.endsWith('GeneratorFunction')) {
    throw new TypeError(
      `${name} is a generator: it returns before its body has run. Decorate the method that consumes it.`,
    );
  }
  return method as Method;
}

/** @throws TypeError where standard decorators are compiled, and on a class */
function checkLegacy(key: unknown, decorator: string): void {
  if (typeof key === 'string' || typeof key === 'symbol') return;
  throw new TypeError(
    `${decorator} was not applied as Nest applies decorators: write it above a method, and set experimentalDecorators in tsconfig.json.`,
  );
}

/** @throws TypeError for a static method: Nest injects nothing into classes. @internal */
export function refuseStatic(
  target: object,
  key: string | symbol,
  decorator: string,
): void {
  checkLegacy(key, decorator);
  if (typeof target !== 'function') return;
  throw new TypeError(
    `${memberName(target, key)} is static: Nest does not create an instance for it, so ${decorator} would do nothing. Decorate a method of a provider.`,
  );
}

/** @internal */
export function addDecoration(
  target: object,
  key: string | symbol,
  decoration: Decoration,
): void {
  Reflect.defineMetadata(
    DECORATIONS,
    [decoration, ...decorationsAt(target, key)],
    target,
    key,
  );
}

/** The decorations that a class itself has on a member. @internal */
export function decorationsAt(
  prototype: object,
  key: string | symbol,
): readonly Decoration[] {
  const found = Reflect.getOwnMetadata(DECORATIONS, prototype, key) as
    readonly Decoration[] | undefined;
  return found ?? [];
}

/** Whether a selector was written as a function that reads `this`. @internal */
export function readsThis(selector: unknown): boolean {
  return (
    typeof selector === 'function' &&
    /\bthis\b/.test(Function.prototype.toString.call(selector))
  );
}
