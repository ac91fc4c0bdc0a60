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
  /** No recorder: only the application's own handlers are subscribed. */
  readonly quiet?: boolean;
  /** Receives the library's log lines. Of several applications in one test the last one's receives all. */
  readonly logger?: LoggerService;
}

export interface TestApp {
  readonly channel: string;
  readonly context: INestApplicationContext;
  readonly publisher: InvalidationPublisher;
  readonly subscriber: InvalidationSubscriber;
  readonly stats: InvalidationStats;
  /** Messages delivered since before the application connected; none when quiet. */
  readonly messages: readonly InvalidationMessage[];
  readonly states: readonly SubscriptionState[];
  readonly errors: readonly CacheInvalidationError[];
  /** Closes the application early; the end of the test closes it anyway. */
  close(): Promise<void>;
}

/** Records messages, states and errors from the first moment on, as an application's cache would. */
@Injectable()
class Recorder {
  readonly messages: InvalidationMessage[] = [];
  readonly states: SubscriptionState[] = [];
  readonly errors: CacheInvalidationError[] = [];

  constructor({ messages$, status$, errors$ }: InvalidationSubscriber) {
    messages$.subscribe((message) => this.messages.push(message));
    status$.subscribe(({ state }) => {
      // A new reason of one state is not a new state.
      const isSame = state !== 'live' && this.states.at(-1) === state;
      if (!isSame) this.states.push(state);
    });
    errors$.subscribe((error) => this.errors.push(error));
  }
}

/**
 * Starts a small Nest application with the library in it, on the shared server
 * and a channel of its own by default. It is closed when the test
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
  quiet = false,
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
    providers: quiet ? providers : [Recorder, ...providers],
  })
  class AppModule {}

  const context = await NestFactory.createApplicationContext(AppModule, {
    logger: logger ?? false,
    abortOnError: false,
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= context.close());
  onTestFinished(close);
  const { messages, states, errors } = quiet
    ? { messages: [], states: [], errors: [] }
    : context.get(Recorder);
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

/** Tests share one server, and must not receive each other's messages. */
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

/** Short form of a message: `user:1`, `user:1,user:2`, `feed:*`. */
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
