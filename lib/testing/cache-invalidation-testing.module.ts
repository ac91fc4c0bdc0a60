import { Module, type DynamicModule } from '@nestjs/common';
import { CacheInvalidationModule } from '../cache-invalidation.module.js';
import type { CacheInvalidationModuleOptions } from '../cache-invalidation.module-options.js';
import { InvalidationTransport } from '../transport/index.js';
import { InMemoryBroker } from './in-memory-broker.js';

/** Options of the module, all of which have defaults in a test. @publicApi */
export interface TestingModuleOptions extends CacheInvalidationModuleOptions {
  /** Shared by applications that are to hear each other. @default a new one */
  readonly broker?: InMemoryBroker;
}

/**
 * CacheInvalidationModule on a broker in memory, for a testing module that imports
 * a few classes and not the whole application. The broker can be injected.
 *
 * @example
 * ```ts
 * const module = await Test.createTestingModule({
 *   imports: [CacheInvalidationTestingModule.register()],
 *   providers: [UsersService],
 * }).compile();
 * const broker = module.get(InMemoryBroker);
 * ```
 * @publicApi
 */
@Module({})
export class CacheInvalidationTestingModule {
  static register({
    broker = new InMemoryBroker(),
    ...options
  }: TestingModuleOptions = {}): DynamicModule {
    // A test environment that switches the library off means who does without it.
    const given = { serviceName: 'test', enabled: true, ...options };
    const { providers = [], ...module } =
      CacheInvalidationModule.forRoot(given);
    return {
      ...module,
      providers: [
        ...providers,
        // One for each application that is made of it.
        { provide: InvalidationTransport, useFactory: () => broker.connect() },
        { provide: InMemoryBroker, useValue: broker },
      ],
      exports: [InMemoryBroker],
    };
  }
}
