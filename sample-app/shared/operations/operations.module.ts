import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { ControlsController } from './controls.controller.js';
import { RedisLink } from './redis.link.js';
import { StateController } from './state.controller.js';

/** Puts around a service what a page looks at and, if it has a link, operates. */
@Module({})
export class OperationsModule {
  /** @param link is its opener's to close, once the service has left Redis */
  static around(service: Type, link: RedisLink | null): DynamicModule {
    const base = { module: OperationsModule, imports: [service] };
    if (link === null) return { ...base, controllers: [StateController] };
    return {
      ...base,
      // The live page looks for the link: its own subscription goes around it.
      global: true,
      controllers: [StateController, ControlsController],
      providers: [{ provide: RedisLink, useValue: link }],
      exports: [RedisLink],
    };
  }
}
