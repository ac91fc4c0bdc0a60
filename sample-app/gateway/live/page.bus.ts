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
 * The bus as the page hears it. The gateway may be cut off from Redis by a
 * button of the page; the page still has to show what is published then, so it
 * has a subscription of its own, on a connection that no button cuts.
 */
export class PageBus implements OnModuleDestroy {
  private constructor(
    readonly subscriber: InvalidationSubscriber,
    private readonly context: INestApplicationContext | null,
  ) {}

  /** A second instance of the library in this process, beside the gateway's. */
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

  /** The subscription of the gateway itself, for where nobody can cut it. */
  static of(subscriber: InvalidationSubscriber): PageBus {
    return new PageBus(subscriber, null);
  }

  /** Whether messages come from the journal now, and so are older than they are slow. */
  get isCatchingUp(): boolean {
    return this.subscriber.status.state !== 'live';
  }

  async onModuleDestroy(): Promise<void> {
    await this.context?.close();
  }
}
