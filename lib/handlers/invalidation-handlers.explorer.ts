import { Injectable, Logger } from '@nestjs/common';
import { DiscoveryService, MetadataScanner, Reflector } from '@nestjs/core';
import { ON_INVALIDATION } from '../cache-invalidation.constants.js';
import { InvalidationConfigurationError } from '../errors/index.js';
import { concerns, type EntityType } from '../message/index.js';
import {
  InvalidationStream,
  type InvalidationCondition,
  type InvalidationHandler,
} from '../stream/index.js';

type InstanceWrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** What `@OnInvalidation()` leaves behind. */
interface HandlerMetadata {
  readonly types: readonly EntityType[];
  readonly when: InvalidationCondition | undefined;
}

/** A method found under it. */
interface FoundHandler extends HandlerMetadata {
  readonly method: string;
}

/**
 * Finds the methods under `@OnInvalidation()` and hangs them on the stream.
 *
 * @internal
 */
@Injectable()
export class InvalidationHandlersExplorer {
  readonly #logger = new Logger('CacheInvalidation');
  /** One instance may be provided under several tokens. */
  readonly #attached = new WeakSet<object>();

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly reflector: Reflector,
    private readonly stream: InvalidationStream,
  ) {}

  /** @throws InvalidationConfigurationError if the module was imported twice. */
  explore(): void {
    const providers = this.discovery.getProviders();
    this.#refuseSecondModule(providers);
    for (const wrapper of [...providers, ...this.discovery.getControllers()]) {
      this.#exploreClass(wrapper);
    }
  }

  #refuseSecondModule(providers: readonly InstanceWrapper[]): void {
    const streams = providers.filter(
      ({ token }) => token === InvalidationStream,
    );
    if (streams.length > 1) {
      throw new InvalidationConfigurationError(
        `CacheInvalidationModule was set up ${streams.length} times in one application.`,
        [],
        'Call forRoot() or forRootAsync() once, in the root module; it is global. Handlers would be called by each.',
      );
    }
  }

  #exploreClass(wrapper: InstanceWrapper): void {
    const type = wrapper.metatype;
    // Factories and values have no class of their own to scan, but what they
    // made may be an instance of one.
    const prototype: object | undefined =
      wrapper.inject === undefined && typeof type === 'function'
        ? (type.prototype as object | undefined)
        : this.#prototypeOfInstance(wrapper);
    if (prototype === undefined || prototype === null) return;
    const handlers = this.#handlersOf(prototype);
    if (handlers.length === 0) return;
    const className = prototype.constructor.name;
    const instances = instancesOf(wrapper);
    if (instances === null) {
      return this.#warn(
        className,
        handlers,
        'request-scoped, and there is no request when a message arrives. Move the method to a singleton provider.',
      );
    }
    if (wrapper.isTransient && instances.length === 0) {
      return this.#warn(
        className,
        handlers,
        'transient, and no singleton injects it. Inject it into one, or make it a singleton.',
      );
    }
    for (const instance of instances) {
      this.#attach(instance, className, handlers);
    }
  }

  #prototypeOfInstance(wrapper: InstanceWrapper): object | undefined {
    const instance: unknown = wrapper.instance;
    return typeof instance === 'object' && instance !== null
      ? (Object.getPrototypeOf(instance) as object | undefined)
      : undefined;
  }

  #handlersOf(prototype: object): FoundHandler[] {
    return this.scanner.getAllMethodNames(prototype).flatMap((method) => {
      const metadata = this.reflector.get<HandlerMetadata | undefined>(
        ON_INVALIDATION,
        (prototype as Record<string, () => unknown>)[method]!,
      );
      return metadata === undefined ? [] : [{ method, ...metadata }];
    });
  }

  #attach(
    instance: Methods,
    className: string,
    handlers: readonly FoundHandler[],
  ): void {
    if (this.#attached.has(instance)) return;
    this.#attached.add(instance);
    for (const { method, types, when } of handlers) {
      this.stream.handle(
        `${className}.${method}`,
        (message) =>
          (instance[method] as InvalidationHandler).call(instance, message),
        concerns(types),
        when,
      );
    }
  }

  #warn(
    className: string,
    handlers: readonly FoundHandler[],
    why: string,
  ): void {
    for (const { method } of handlers) {
      this.#logger.error(
        `@OnInvalidation() on ${className}.${method} will never be called: ${className} is ${why}`,
      );
    }
  }
}

type Methods = Record<string, unknown>;

/** `null` where instances exist only during a request. */
function instancesOf(wrapper: InstanceWrapper): Methods[] | null {
  if (!wrapper.isDependencyTreeStatic()) return null;
  // A transient provider has one instance in each class that injects it.
  const hosts = wrapper.isTransient
    ? wrapper.getStaticTransientInstances()
    : [wrapper];
  return hosts
    .map((host): unknown => host?.instance)
    .filter(
      (instance): instance is Methods =>
        typeof instance === 'object' && instance !== null,
    );
}
