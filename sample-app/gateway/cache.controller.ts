import { Controller, Get } from '@nestjs/common';
import { TieredCache } from './tiered.cache.js';

/** A look inside, for the demo and for the curious. */
@Controller('cache')
export class CacheController {
  constructor(private readonly cache: TieredCache) {}

  @Get()
  keys(): { l1: string[] } {
    return { l1: this.cache.keys.toSorted() };
  }
}
