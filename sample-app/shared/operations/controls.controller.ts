import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  HttpCode,
  Post,
  type OnModuleDestroy,
} from '@nestjs/common';
import {
  InvalidationPublisher,
  InvalidMessageError,
  type PublishReceipt,
} from 'nestjs-cache-invalidation';
import { BatchDto, PatternDto } from './controls.dto.js';
import { LoadGenerator } from './load.generator.js';
import { RedisLink } from './redis.link.js';

/** Controls for the live page; production must not have them. */
@Controller('controls')
export class ControlsController implements OnModuleDestroy {
  readonly #load: LoadGenerator;

  constructor(
    private readonly link: RedisLink,
    private readonly publisher: InvalidationPublisher,
  ) {
    this.#load = new LoadGenerator(publisher);
  }

  @Post('cut')
  @HttpCode(204)
  cut(): void {
    this.link.cut();
  }

  @Post('restore')
  @HttpCode(204)
  restore(): void {
    this.link.restore();
  }

  @Post('pattern')
  @HttpCode(200)
  pattern(@Body() { pattern }: PatternDto): Promise<PublishReceipt> {
    return this.publisher.invalidatePattern(pattern).catch(refuse);
  }

  @Post('batch')
  @HttpCode(200)
  batch(@Body() { keys }: BatchDto): Promise<PublishReceipt> {
    return this.publisher.invalidateBatch(keys).catch(refuse);
  }

  /** Answers at once; the messages are published over some seconds. */
  @Post('load')
  @HttpCode(202)
  load(): { messages: number; perSecond: number } {
    const load = this.#load.start();
    if (load === null)
      throw new ConflictException('The load is running already.');
    return load;
  }

  /** Restores the link at the shutdown, so that waiting messages can be sent. */
  onModuleDestroy(): void {
    this.#load.stop();
    this.link.restore();
  }
}

function refuse(error: unknown): never {
  if (error instanceof InvalidMessageError) {
    throw new BadRequestException(error.message);
  }
  throw error;
}
