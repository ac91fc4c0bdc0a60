import { randomUUID } from 'node:crypto';
import {
  Injectable,
  Module,
  type INestApplicationContext,
  type LoggerService,
  type ModuleMetadata,
  type Provider,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import {
  CacheInvalidationModule,
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
  type CacheInvalidationError,
  type CacheInvalidationModuleOptions,
  type InvalidationMessage,
  type SubscriptionState,
} from 'nestjs-cache-invalidation';
import { inject, onTestFinished } from 'vitest';

export interface AppOptions extends Partial<CacheInvalidationModuleOptions> {
  /** The application's own classes, beside the library's. */
  readonly providers?: Provider[];
  /** Modules beside the library's. */
  readonly imports?: ModuleMetadata['imports'];
  /** Hears the library's log lines. Of several applications in one test the last one's hears all. */
  readonly logger?: LoggerService;
}

export interface TestApp {
  readonly channel: string;
  readonly context: INestApplicationContext;
  readonly publisher: InvalidationPublisher;
  readonly subscriber: InvalidationSubscriber;
  readonly stats: InvalidationStats;
  /** What its consumers were told, since before it connected. */
  readonly messages: readonly InvalidationMessage[];
  readonly states: readonly SubscriptionState[];
  readonly errors: readonly CacheInvalidationError[];
  /** Done at the end of the test anyway. */
  close(): Promise<void>;
}

/** Hears everything from the first moment on, as an application's cache would. */
@Injectable()
class Ears {
  readonly messages: InvalidationMessage[] = [];
  readonly states: SubscriptionState[] = [];
  readonly errors: CacheInvalidationError[] = [];

  constructor({ messages$, status$, errors$ }: InvalidationSubscriber) {
    messages$.subscribe((message) => this.messages.push(message));
    status$.subscribe(({ state }) => {
      // Only the reason is another one.
      const isSame = state !== 'live' && this.states.at(-1) === state;
      if (!isSame) this.states.push(state);
    });
    errors$.subscribe((error) => this.errors.push(error));
  }
}

/**
 * Starts a small Nest application with the library in it, on the shared server
 * and a channel of its own unless told otherwise. It is closed when the test
 * ends.
 *
 * @example
 * const writer = await startApp({ serviceName: 'writer' });
 * const reader = await startApp({ channel: writer.channel, providers: [Cache] });
 */
export async function startApp({
  providers = [],
  imports = [],
  logger,
  ...options
}: AppOptions = {}): Promise<TestApp> {
  const given = {
    connection: inject('redisUrl'),
    channel: uniqueChannel(),
    serviceName: 'test-service',
    ...options,
  };
  const library = CacheInvalidationModule.forRoot(given);
  @Module({
    imports: [library, ...imports],
    providers: [Ears, ...providers],
  })
  class AppModule {}

  const context = await NestFactory.createApplicationContext(AppModule, {
    logger: logger ?? false,
    abortOnError: false,
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= context.close());
  onTestFinished(close);
  const { messages, states, errors } = context.get(Ears);
  return {
    channel: given.channel,
    context,
    publisher: context.get(InvalidationPublisher),
    subscriber: context.get(InvalidationSubscriber),
    stats: context.get(InvalidationStats),
    messages,
    states,
    errors,
    close,
  };
}

/** The same where nobody hears everything: no handlers but those it is given. */
export async function startQuietApp({
  providers = [],
  logger,
  ...options
}: AppOptions = {}): Promise<INestApplicationContext> {
  @Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: inject('redisUrl'),
        channel: uniqueChannel(),
        serviceName: 'test-service',
        ...options,
      }),
    ],
    providers,
  })
  class AppModule {}

  const context = await NestFactory.createApplicationContext(AppModule, {
    logger: logger ?? false,
    abortOnError: false,
  });
  onTestFinished(() => context.close());
  return context;
}

/** Tests share one server and must not hear each other. */
export function uniqueChannel(): string {
  return `test:${randomUUID()}`;
}

/** A program that does not use the library: a service in another language. */
export function connectRaw(url: string = inject('redisUrl')): Redis {
  const client = new Redis(url);
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

/** Keeps log lines in place of printing them. */
export class LogRecorder implements LoggerService {
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  readonly lines: string[] = [];

  log(...line: unknown[]): void {
    this.lines.push(line.join(' '));
  }

  warn(...line: unknown[]): void {
    this.warnings.push(line.join(' '));
    this.log(...line);
  }

  error(...line: unknown[]): void {
    this.errors.push(line.join(' '));
    this.log(...line);
  }
}

/** What was said, in few words: `user:1`, `user:1,user:2`, `feed:*`. */
export function said({
  action,
  entityType,
  entityId,
  pattern,
  entityIds,
}: InvalidationMessage): string {
  if (action === 'Pattern') return pattern;
  return entityIds?.join() ?? `${entityType}:${entityId}`;
}
