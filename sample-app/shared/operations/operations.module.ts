import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { RequestsModule } from '../requests/requests.module.js';
import { ControlsController } from './controls.controller.js';
import { RedisLink } from './redis.link.js';
import { StateController } from './state.controller.js';

/**
 * Adds the rules for requests to a service, the state that the live page shows and,
 * with a link, the controls.
 */
@Module({})
export class OperationsModule {
  /** @param link closed by its opener, once the service has disconnected from Redis */
  static around(service: Type, link: RedisLink | null): DynamicModule {
    const base = {
      module: OperationsModule,
      imports: [RequestsModule, service],
    };
    if (link === null) return { ...base, controllers: [StateController] };
    return {
      ...base,
      // For the live page, whose own subscription bypasses the link.
      global: true,
      controllers: [StateController, ControlsController],
      providers: [{ provide: RedisLink, useValue: link }],
      exports: [RedisLink],
    };
  }
}
