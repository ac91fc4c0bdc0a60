import {
  type INestApplicationContext,
  type OnModuleDestroy,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  CacheInvalidationModule,
  InvalidationSubscriber,
} from 'nestjs-cache-invalidation';

/** The bus where a service's link to it can be cut. */
export interface BusAddress {
  readonly connection: string;
  readonly channel: string | undefined;
}

/**
 * The messages for the page. A button of the page can cut the gateway off from
 * Redis, and the page still has to show the messages that are published then.
 * So it has its own subscription, on a connection that no button cuts.
 */
export class PageBus implements OnModuleDestroy {
  private constructor(
    readonly subscriber: InvalidationSubscriber,
    private readonly context: INestApplicationContext | null,
  ) {}

  /** A second instance of the library in this process. */
  static async open({ connection, channel }: BusAddress): Promise<PageBus> {
    const context = await NestFactory.createApplicationContext(
      CacheInvalidationModule.forRoot({
        connection,
        channel,
        serviceName: 'live-page',
      }),
      { abortOnError: false },
    );
    return new PageBus(context.get(InvalidationSubscriber), context);
  }

  /** The subscription of the gateway itself, if no button can cut it. */
  static of(subscriber: InvalidationSubscriber): PageBus {
    return new PageBus(subscriber, null);
  }

  /** Whether messages come from the journal now, so that their age is no latency. */
  get isCatchingUp(): boolean {
    return this.subscriber.status.state !== 'live';
  }

  async onModuleDestroy(): Promise<void> {
    await this.context?.close();
  }
}
