import { Injectable, Logger } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { ON_INVALIDATION } from '../cache-invalidation.constants.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import type { EntityType } from '../message/index.js';
import {
  InvalidationStream,
  unheard,
  type InvalidationCondition,
  type InvalidationHandler,
} from '../stream/index.js';
import {
  classNameOf,
  DiscoveredClasses,
  methodsOf,
  prototypeOf,
  type InstanceWrapper,
} from './discovered-classes.js';

/** The metadata of `@OnInvalidation()`. */
interface HandlerMetadata {
  readonly types: readonly EntityType[];
  readonly when: InvalidationCondition | undefined;
}

/** A method that `@OnInvalidation()` decorates. @internal */
export interface FoundHandler extends HandlerMetadata {
  readonly key: string | symbol;
  /** Name of class and method. */
  readonly name: string;
}

/**
 * Finds the methods that `@OnInvalidation()` decorates and adds them to the stream.
 *
 * @internal
 */
@Injectable()
export class InvalidationHandlersExplorer {
  readonly #logger = new Logger('CacheInvalidation');
  /** Instances that were added; one may be provided under several tokens. */
  readonly #attached = new WeakSet<object>();
  /** Lines that were logged: classes are explored again with each lazy module. */
  readonly #logged = new Set<string>();
  readonly #found: FoundHandler[] = [];

  constructor(
    private readonly classes: DiscoveredClasses,
    private readonly lazyModules: LazyModuleLoader,
    private readonly stream: InvalidationStream,
  ) {}

  /** Handlers that were found, and added to the stream where messages are received. */
  get handlers(): readonly FoundHandler[] {
    return this.#found;
  }

  /** @throws InvalidationConfigurationError if the module was imported twice. */
  explore(): void {
    this.#refuseSecondModule();
    this.#exploreClasses();
    this.#exploreLazyModules();
  }

  #exploreClasses(): void {
    for (const wrapper of this.classes.wrappers()) this.#exploreClass(wrapper);
    for (const instance of this.classes.instances()) {
      const prototype = Object.getPrototypeOf(instance) as object | null;
      if (prototype === null) continue;
      this.#attach(instance, this.#handlersOf(prototype));
    }
  }

  /** Lazy modules are in no container before they are loaded, and Nest has no hook for it. */
  #exploreLazyModules(): void {
    const load = this.lazyModules.load.bind(this.lazyModules);
    this.lazyModules.load = async (...args) => {
      const module = await load(...args);
      const before = this.#found.length;
      this.#exploreClasses();
      this.#refuseUnheard(this.#found.slice(before));
      return module;
    };
  }

  #refuseSecondModule(): void {
    const streams = this.classes
      .wrappers()
      .filter(({ token }) => token === InvalidationStream);
    if (streams.length > 1) {
      throw new InvalidationConfigurationError(
        `CacheInvalidationModule was set up ${streams.length} times in one application.`,
        [],
        'Call forRoot() or forRootAsync() once, in the root module; it is global. Handlers would be called by each.',
      );
    }
  }

  #exploreClass(wrapper: InstanceWrapper): void {
    const prototype = prototypeOf(wrapper);
    if (prototype === null) return;
    const handlers = this.#handlersOf(prototype);
    if (handlers.length === 0) return;
    const instances = instancesOf(wrapper);
    if (instances === null) {
      return this.#warn(
        prototype,
        handlers,
        'request-scoped, and there is no request when a message arrives. Move the method to a singleton provider.',
      );
    }
    if (wrapper.isTransient && instances.length === 0) {
      return this.#warn(
        prototype,
        handlers,
        'transient, and no singleton injects it. Inject it into one, or make it a singleton.',
      );
    }
    for (const instance of instances) this.#attach(instance, handlers);
  }

  #handlersOf(prototype: object): FoundHandler[] {
    const className = classNameOf(prototype);
    /** Whether the nearest method of a name is a handler. */
    const nearest = new Map<string | symbol, boolean>();
    const handlers: FoundHandler[] = [];
    for (const { key, method } of methodsOf(prototype)) {
      const metadata = Reflect.getMetadata(ON_INVALIDATION, method) as
        HandlerMetadata | undefined;
      const name = `${className}.${String(key)}`;
      const isHandler = metadata !== undefined;
      if (!nearest.has(key)) {
        nearest.set(key, isHandler);
        if (isHandler) handlers.push({ key, name, ...metadata });
      } else if (isHandler && nearest.get(key) === false) {
        this.#warnOverridden(name);
      }
    }
    return handlers;
  }

  #attach(instance: object, handlers: readonly FoundHandler[]): void {
    if (handlers.length === 0 || this.#attached.has(instance)) return;
    this.#attached.add(instance);
    for (const handler of handlers) {
      const { key, name, types, when } = handler;
      this.#found.push(handler);
      if (!this.stream.receives) continue;
      const methods = instance as Record<string | symbol, InvalidationHandler>;
      this.stream.addHandler(
        name,
        (message) => methods[key]!(message),
        types,
        when,
      );
    }
  }

  /** In an application that only publishes; those of the start are refused by `checkRole`. */
  #refuseUnheard(found: readonly FoundHandler[]): void {
    if (this.stream.receives || found.length === 0) return;
    throw unheard(...found.map(({ name }) => name));
  }

  #warnOverridden(name: string): void {
    const line = `${name} overrides a method under @OnInvalidation() and has no such decorator: it will not be called. Decorate it too.`;
    if (this.#isNew(line)) this.#logger.warn(line);
  }

  #warn(
    prototype: object,
    handlers: readonly FoundHandler[],
    why: string,
  ): void {
    for (const { name } of handlers) {
      const line = `@OnInvalidation() on ${name} will never be called: ${classNameOf(prototype)} is ${why}`;
      if (this.#isNew(line)) this.#logger.error(line);
    }
  }

  #isNew(line: string): boolean {
    if (this.#logged.has(line)) return false;
    this.#logged.add(line);
    return true;
  }
}

/** `null` where instances exist only during a request. */
function instancesOf(wrapper: InstanceWrapper): object[] | null {
  if (!wrapper.isDependencyTreeStatic()) return null;
  // A transient provider has one instance in each class that injects it.
  const hosts = wrapper.isTransient
    ? wrapper.getStaticTransientInstances()
    : [wrapper];
  return hosts
    .map((host): unknown => host?.instance)
    .filter(
      (instance): instance is object =>
        typeof instance === 'object' && instance !== null,
    );
}
