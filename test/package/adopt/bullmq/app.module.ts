import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { UsersController } from './users.controller';
import { UsersProcessor } from './users.processor';
import { UsersService } from './users.service';

@Module({
  imports: [
    BullModule.forRoot({ connection: { url: process.env['REDIS_URL'] } }),
    BullModule.registerQueue({ name: 'users' }),
    CacheInvalidationModule.forRoot({
      serviceName: 'users',
      connection: process.env['REDIS_URL'],
      channel: process.env['CACHE_INVALIDATION_CHANNEL'],
    }),
  ],
  controllers: [UsersController],
  providers: [UsersService, UsersProcessor],
})
export class AppModule {}
