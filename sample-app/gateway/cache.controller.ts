import { Controller, Get } from '@nestjs/common';
import type { NearCacheStats } from 'nestjs-cache-invalidation';
import { UserCopies } from './user.copies.js';

/** A look into the cache of users, for the demo and for the curious. */
@Controller('cache')
export class CacheController {
  constructor(private readonly users: UserCopies) {}

  @Get()
  stats(): NearCacheStats {
    return this.users.stats;
  }
}
