import { Injectable } from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';

type Module = ModulesContainer extends Map<string, infer M> ? M : never;

/** A class in the application's container. @internal */
export type InstanceWrapper =
  Module['providers'] extends Map<unknown, infer W> ? W : never;

/** Under these `@UseGuards()` and the like keep what they were given. */
const ENHANCERS = [
  '__guards__',
  '__interceptors__',
  '__pipes__',
  '__exceptionFilters__',
] as const;

/** Under this `@Param()` and the like do. */
const PARAMETERS = '__routeArguments__';

/** A method as its class has it, its own or inherited. @internal */
export interface FoundMethod {
  readonly key: string | symbol;
  readonly method: object;
  /** The prototype that it is written in. */
  readonly owner: object;
}

/**
 * Finds the classes of the application: providers and controllers, and those that the
 * discovery of Nest leaves out: guards, interceptors, pipes, filters and middleware.
 *
 * @internal
 */
@Injectable()
export class DiscoveredClasses {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly config: ApplicationConfig,
  ) {}

  wrappers(): InstanceWrapper[] {
    return wrappersIn(this.modules);
  }

  /** Enhancers that were made by hand, as in `@UseInterceptors(new Cache())`. */
  instances(): object[] {
    const given = this.wrappers().flatMap(({ metatype }) =>
      typeof metatype === 'function' ? enhancersOf(metatype) : [],
    );
    return [
      ...given,
      ...this.config.getGlobalGuards(),
      ...this.config.getGlobalInterceptors(),
      ...this.config.getGlobalPipes(),
      ...this.config.getGlobalFilters(),
    ].filter(
      (enhancer): enhancer is object =>
        typeof enhancer === 'object' && enhancer !== null,
    );
  }
}

/** @internal */
export function wrappersIn(modules: ModulesContainer): InstanceWrapper[] {
  return [...modules.values()].flatMap((module) => [
    ...module.providers.values(),
    ...module.controllers.values(),
    ...module.injectables.values(),
    ...module.middlewares.values(),
  ]);
}

/** The prototype to look for decorators on; `null` for what has no class. @internal */
export function prototypeOf(wrapper: InstanceWrapper): object | null {
  const type = wrapper.metatype;
  // A factory or a value has no class to scan, but may provide an instance of one.
  if (wrapper.inject === undefined && typeof type === 'function') {
    return (type.prototype as object | undefined) ?? null;
  }
  const instance: unknown = wrapper.instance;
  return typeof instance === 'object' && instance !== null
    ? (Object.getPrototypeOf(instance) as object | null)
    : null;
}

/** Name of a class, for the log; an object may have no class. @internal */
export function classNameOf(prototype: object): string {
  const type = prototype.constructor as { name?: string } | undefined;
  return type?.name ?? 'An object';
}

/** All methods, the nearest of each name first. @internal */
export function methodsOf(prototype: object): FoundMethod[] {
  const methods: FoundMethod[] = [];
  let owner: object | null = prototype;
  for (
    ;
    owner !== null && owner !== Object.prototype;
    owner = Object.getPrototypeOf(owner) as object | null
  ) {
    for (const key of Reflect.ownKeys(owner)) {
      // Read from the descriptor: a getter must not run.
      const method: unknown = Reflect.getOwnPropertyDescriptor(
        owner,
        key,
      )?.value;
      if (key !== 'constructor' && typeof method === 'function') {
        methods.push({ key, method, owner });
      }
    }
  }
  return methods;
}

function enhancersOf(type: { prototype?: unknown }): unknown[] {
  const { prototype } = type;
  const methods =
    typeof prototype === 'object' && prototype !== null
      ? methodsOf(prototype)
      : [];
  const decorated = [type as object, ...methods.map(({ method }) => method)];
  return [
    ...decorated.flatMap((each) =>
      ENHANCERS.flatMap((key) => listIn(Reflect.getMetadata(key, each))),
    ),
    ...methods.flatMap(({ key }) => parameterPipesOf(type as object, key)),
  ];
}

/** Pipes of parameters, such as `@Param('id', new Pipe())`. */
function parameterPipesOf(type: object, key: string | symbol): unknown[] {
  const parameters = Reflect.getMetadata(PARAMETERS, type, key) as
    Record<string, { pipes?: unknown }> | undefined;
  return Object.values(parameters ?? {}).flatMap(({ pipes }) => listIn(pipes));
}

function listIn(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}
