import { Module } from '@nestjs/common';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { UsersController } from './users.controller';
import { UsersService } from './users.service';

@Module({
  imports: [
    CacheInvalidationModule.forRoot({
      serviceName: 'users',
      connection: process.env['REDIS_URL'],
      channel: process.env['CACHE_INVALIDATION_CHANNEL'],
    }),
  ],
  controllers: [UsersController],
  providers: [UsersService],
})
export class AppModule {}
