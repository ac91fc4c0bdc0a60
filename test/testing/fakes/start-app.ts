import { Module, type ModuleMetadata } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  CacheInvalidationModule,
  type CacheInvalidationModuleOptions,
} from 'nestjs-cache-invalidation';
import {
  InMemoryBroker,
  InvalidationRecorder,
} from 'nestjs-cache-invalidation/testing';
import { onTestFinished } from 'vitest';
import { CapturingLogger } from './capturing.logger.js';

export interface AppDescription extends ModuleMetadata {
  readonly broker?: InMemoryBroker;
  readonly options?: Partial<CacheInvalidationModuleOptions>;
}

export interface StartedApp {
  readonly app: TestingModule;
  readonly broker: InMemoryBroker;
  readonly recorder: InvalidationRecorder;
  readonly logs: CapturingLogger;
}

/** A small real application on a broker in memory; closed after the test. */
export async function startApp(
  description: AppDescription = {},
): Promise<StartedApp> {
  const broker = description.broker ?? new InMemoryBroker();
  const recorder = new InvalidationRecorder(broker);
  const logs = new CapturingLogger();
  const app = await buildApp({ ...description, broker }, logs);
  await app.init();
  onTestFinished(() => app.close());
  return { app, broker, recorder, logs };
}

/** Builds this application without initialising it. */
export function buildApp(
  {
    broker = new InMemoryBroker(),
    options,
    imports = [],
    ...own
  }: AppDescription,
  logger = new CapturingLogger(),
): Promise<TestingModule> {
  @Module({
    imports: [
      CacheInvalidationModule.forRoot({ serviceName: 'test', ...options }),
      ...imports,
    ],
    ...own,
  })
  class AppModule {}

  return broker
    .install(Test.createTestingModule({ imports: [AppModule] }))
    .setLogger(logger)
    .compile();
}
