import { Inject, Logger, Optional } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { isSwitchedOff } from '../common/index.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import {
  classNameOf,
  prototypeOf,
  wrappersIn,
  type InstanceWrapper,
} from './discovered-classes.js';
import { InvalidationStream } from '../stream/index.js';

/** Metadata of a prototype: its decorated members, inherited ones included. */
const MEMBERS = Symbol('CacheInvalidation.members');

/** Property in which Nest sets the modules of the application, on each instance that it makes. */
const MODULES = Symbol('CacheInvalidation.modules');

/** Names listed in the error; the rest is counted. */
const MOST_NAMES = 20;

/**
 * Whether the decorators of an application work: `passing` where they are meant
 * to pass through, in a testing module or switched off by the environment.
 */
type Presence = 'imported' | 'passing' | InvalidationConfigurationError;

const presences = new WeakMap<ModulesContainer, Presence>();
const logged = new WeakSet<ModulesContainer>();

/**
 * Checks the application for CacheInvalidationModule when Nest makes an instance of the
 * class. Without the module nothing else of this library runs, so the missing import would
 * go unnoticed.
 *
 * @internal
 */
export function needsModule(target: object, key: string | symbol): void {
  const members = membersOf(target);
  Reflect.defineMetadata(MEMBERS, [...members, key], target);
  if (MODULES in target) return;
  Inject(ModulesContainer)(target, MODULES);
  Optional()(target, MODULES);
  Object.defineProperty(target, MODULES, {
    configurable: true,
    get: () => undefined,
    set(this: object, modules: unknown) {
      // An automock, in a test that makes the instance without Nest.
      if (!(modules instanceof ModulesContainer)) return;
      Object.defineProperty(this, MODULES, {
        configurable: true,
        value: modules,
      });
      check(modules, this);
    },
  });
}

/** The modules of the application whose Nest made this instance. @internal */
export function modulesOf(instance: unknown): ModulesContainer | undefined {
  return (instance as { [MODULES]?: ModulesContainer } | undefined)?.[MODULES];
}

/** Whether the decorators of this application should have an effect. @internal */
export function isImported(modules: ModulesContainer): boolean {
  return presenceIn(modules) === 'imported';
}

/** @throws InvalidationConfigurationError where the module is forgotten */
function check(modules: ModulesContainer, instance: object): void {
  const presence = presenceIn(modules);
  if (!(presence instanceof InvalidationConfigurationError)) return;
  // An instance that is made for a request throws nothing: no request fails.
  if (isMadeAtStart(modules, instance)) throw presence;
  if (logged.has(modules)) return;
  logged.add(modules);
  new Logger('CacheInvalidation').error(presence.message);
}

function presenceIn(modules: ModulesContainer): Presence {
  let presence = presences.get(modules);
  if (presence === undefined) {
    presences.set(modules, (presence = lookFor(modules)));
  }
  return presence;
}

function lookFor(modules: ModulesContainer): Presence {
  const all = [...modules.values()];
  if (all.some(({ providers }) => providers.has(InvalidationStream))) {
    return 'imported';
  }
  const names = new Set(all.map(({ metatype }) => metatype.name));
  // Name of the root module of `Test.createTestingModule()`.
  if (names.has('RootTestModule') || isSwitchedOff()) return 'passing';
  const members = decoratedMembers(modules);
  return names.has('CacheInvalidationModule')
    ? new InvalidationConfigurationError(
        `CacheInvalidationModule is imported from another copy of nestjs-cache-invalidation than the decorators on ${members}: they would do nothing.`,
        [],
        'Let the package manager keep one copy (npm ls nestjs-cache-invalidation).',
      )
    : new InvalidationConfigurationError(
        `CacheInvalidationModule is not imported, and without it the decorators on ${members} do nothing.`,
        [],
        'Import CacheInvalidationModule.forRoot() or forRootAsync() in the root module. To start without it, set CACHE_INVALIDATION_ENABLED=false.',
      );
}

function decoratedMembers(modules: ModulesContainer): string {
  const prototypes = new Set(wrappersIn(modules).map(prototypeOf));
  const names = [...prototypes].flatMap((prototype) =>
    prototype === null
      ? []
      : [...new Set(membersOf(prototype))].map(
          (key) => `${classNameOf(prototype)}.${String(key)}`,
        ),
  );
  const more = names.length - MOST_NAMES;
  return more > 0
    ? `${names.slice(0, MOST_NAMES).join(', ')} and ${more} more`
    : names.join(', ');
}

/** With the application, or with a lazy module; not for a request, nor by resolve(). */
function isMadeAtStart(modules: ModulesContainer, instance: object): boolean {
  const wrappers = wrappersIn(modules);
  return wrappers.some(
    (wrapper) =>
      wrapper.metatype === instance.constructor &&
      wrapper.isDependencyTreeStatic() &&
      // A transient instance is made with each class that injects it.
      (!wrapper.isTransient || wrappers.some(isBeingMade)),
  );
}

function isBeingMade(wrapper: InstanceWrapper): boolean {
  if (wrapper.isTransient || !wrapper.isDependencyTreeStatic()) return false;
  // A static provider has one instance, in the context of this id.
  const made = wrapper.getInstanceByContextId({ id: 0 });
  return made.isPending === true && made.isResolved !== true;
}

function membersOf(prototype: object): readonly (string | symbol)[] {
  const members = Reflect.getMetadata(MEMBERS, prototype) as
    readonly (string | symbol)[] | undefined;
  return members ?? [];
}
