import { Controller, Get } from '@nestjs/common';
import type { NearCacheStats } from 'nestjs-cache-invalidation';
import { UserCopies } from './user.copies.js';

/** Shows the cache of users, for the demo and for visitors. */
@Controller('cache')
export class CacheController {
  constructor(private readonly users: UserCopies) {}

  @Get()
  stats(): NearCacheStats {
    return this.users.stats;
  }
}
