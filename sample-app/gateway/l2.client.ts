import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { Redis } from 'ioredis';

/** Reading the row is faster than waiting longer for its copy. */
const COMMAND_TIMEOUT_MS = 250;

/**
 * One connection for all commands of L2: Redis executes them in the order in
 * which they were given, and that is what makes evictions here simple.
 */
@Injectable()
export class L2Client extends Redis implements OnApplicationShutdown {
  constructor(config: ConfigService) {
    super(config.get<string>('REDIS_URL', 'redis://localhost:6379'), {
      commandTimeout: COMMAND_TIMEOUT_MS,
      enableOfflineQueue: false,
      // What was not answered has failed: it is not sent again behind our back.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
    });
    const logger = new Logger(L2Client.name);
    this.on('error', ({ message }) => logger.warn(message));
  }

  onApplicationShutdown(): void {
    this.disconnect();
  }
}
