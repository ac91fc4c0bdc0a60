import { Injectable, Logger } from '@nestjs/common';
import { InvalidationConfigurationError } from '../errors/index.js';
import {
  classNameOf,
  DiscoveredClasses,
  methodsOf,
  modulesOf,
  prototypeOf,
  type FoundMethod,
  type InstanceWrapper,
} from '../handlers/index.js';
import { decorationsAt, type Decoration } from './decorated-member.js';

/** A decorated method of a class in the application. @internal */
export interface FoundDecoration extends Decoration {
  /** Name of class and method. */
  readonly name: string;
}

/**
 * Warns once, at the start, of each decorator that has no effect, or not the expected
 * one. A decorator whose dependency Nest could not inject is an error.
 *
 * @internal
 */
@Injectable()
export class DecorationChecks {
  readonly #logger = new Logger('CacheInvalidation');

  constructor(private readonly classes: DiscoveredClasses) {}

  /**
   * @returns every decoration in the application, once
   * @throws InvalidationConfigurationError for classes out of the module's reach
   */
  check(): FoundDecoration[] {
    this.#refuseUnreached();
    const found = new Map<object, FoundDecoration[]>();
    for (const wrapper of this.classes.wrappers()) {
      const prototype = prototypeOf(wrapper);
      if (prototype === null || found.has(prototype)) continue;
      found.set(prototype, this.#checkClass(prototype, wrapper));
    }
    return [...found.values()].flat();
  }

  #refuseUnreached(): void {
    const names = this.classes.wrappers().flatMap(unreachedIn);
    if (names.length === 0) return;
    throw new InvalidationConfigurationError(
      `The decorators on ${[...new Set(names)].join(', ')} would do nothing: Nest could not inject what CacheInvalidationModule provides.`,
      [],
      'With `isGlobal: false` import it in the modules of these classes too; and let forRootAsync() inject none of them, since they wait for it.',
    );
  }

  #checkClass(prototype: object, wrapper: InstanceWrapper): FoundDecoration[] {
    const className = classNameOf(prototype);
    const methods = methodsOf(prototype);
    return methods.flatMap((found) => {
      const decorations = decorationsAt(found.owner, found.key);
      if (decorations.length === 0) return [];
      const name = `${className}.${String(found.key)}`;
      const nearest = methods.find(({ key }) => key === found.key)!;
      if (nearest.method !== found.method) {
        this.#checkOverride(name, nearest, decorations);
      } else {
        this.#checkInstance(name, wrapper, decorations);
      }
      return decorations.map((decoration) => ({ name, ...decoration }));
    });
  }

  /** An override is right if it calls its parent or is decorated itself. */
  #checkOverride(
    name: string,
    { owner, key, method }: FoundMethod,
    decorations: readonly Decoration[],
  ): void {
    if (!decorations.some(({ does }) => does === 'invalidates')) return;
    if (decorationsAt(owner, key).length > 0 || callsSuper(method, key)) return;
    this.#logger.warn(
      `${name} overrides a method under @InvalidatesCache() or @InvalidatesCachePattern() and has no such decorator: it invalidates nothing. Call super.${String(key)}(), or decorate it too.`,
    );
  }

  #checkInstance(
    name: string,
    wrapper: InstanceWrapper,
    decorations: readonly Decoration[],
  ): void {
    const isStatic = wrapper.isDependencyTreeStatic();
    const isGiven =
      wrapper.inject !== undefined || typeof wrapper.metatype !== 'function';
    if (isGiven && isWithout(wrapper.instance, decorations)) {
      this.#logger.error(
        `The decorators on ${name} have no effect on what a factory or a value provides: Nest did not make it. Let Nest make it (useClass).`,
      );
    }
    if (isStatic) return;
    const shared = decorations.some(
      ({ does, seesInstance }) => does === 'caches' && !seesInstance,
    );
    if (shared) {
      this.#logger.warn(
        `@Cached() on ${name} keeps one cache for all requests, and its class is request-scoped: whatever depends on the request (a tenant, a user) must be part of the id. Write the selector as a function that reads \`this\`.`,
      );
    }
  }
}

/** Decorated methods of an instance that Nest made without injecting their dependencies. */
function unreachedIn(wrapper: InstanceWrapper): string[] {
  const isMade =
    wrapper.inject === undefined &&
    typeof wrapper.metatype === 'function' &&
    wrapper.isDependencyTreeStatic() &&
    !wrapper.isTransient &&
    modulesOf(wrapper.instance) !== undefined;
  if (!isMade) return [];
  const prototype = prototypeOf(wrapper);
  return prototype === null
    ? []
    : methodsOf(prototype)
        .filter(({ owner, key }) =>
          isWithout(wrapper.instance, decorationsAt(owner, key)),
        )
        .map(({ key }) => `${classNameOf(prototype)}.${String(key)}`);
}

function isWithout(
  instance: unknown,
  decorations: readonly Decoration[],
): boolean {
  return (
    typeof instance === 'object' &&
    instance !== null &&
    decorations.some(
      ({ property }) =>
        (instance as Record<symbol, unknown>)[property] === undefined,
    )
  );
}

/**
 * Whether the source of a method calls its parent; a compiler to ES5 writes
 * `_super.prototype.save`. A name in brackets is taken for the method.
 */
function callsSuper(method: object, key: string | symbol): boolean {
  const source = Function.prototype.toString.call(method);
  return [
    ...source.matchAll(
      /super(?:\.prototype)?\s*(?:\[|\.\s*([\p{ID_Continue}$]+))/gu,
    ),
  ].some(([, called]) => called === undefined || called === key);
}
