import {
  BadRequestException,
  Controller,
  Get,
  HttpCode,
  Param,
  ServiceUnavailableException,
} from '@nestjs/common';
import {
  InvalidationPublisher,
  InvalidationSerializationError,
  InvalidationStats,
  InvalidationSubscriber,
  type InvalidationStatsSnapshot,
  type SubscriptionStatus,
} from 'nestjs-cache-invalidation';

/** Health and statistics of a service. Every service has this controller. */
@Controller()
export class StatusController {
  constructor(
    private readonly subscriber: InvalidationSubscriber,
    private readonly publisher: InvalidationPublisher,
    private readonly statistics: InvalidationStats,
  ) {}

  /** 503 while invalidations do not arrive: a load balancer may look elsewhere. */
  @Get('health')
  health(): { invalidations: SubscriptionStatus; pending: number } {
    const health = {
      invalidations: this.subscriber.status,
      pending: this.publisher.pending,
    };
    if (health.invalidations.state !== 'live') {
      throw new ServiceUnavailableException(health);
    }
    return health;
  }

  /** Answers once this service has applied the journal up to an offset; 503 if that takes long, 400 if it is none. */
  @Get('applied/:offset')
  @HttpCode(204)
  async applied(@Param('offset') offset: string): Promise<void> {
    try {
      await this.subscriber.caughtUp(offset);
    } catch (error) {
      if (error instanceof InvalidationSerializationError) {
        throw new BadRequestException(error.message);
      }
      throw new ServiceUnavailableException((error as Error).message);
    }
  }

  @Get('stats')
  stats(): InvalidationStatsSnapshot {
    return this.statistics.snapshot();
  }
}
