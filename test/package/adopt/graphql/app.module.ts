import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Module } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { UsersResolver } from './users.resolver';
import { UsersService } from './users.service';

@Module({
  imports: [
    GraphQLModule.forRoot<ApolloDriverConfig>({
      driver: ApolloDriver,
      autoSchemaFile: true,
    }),
    CacheInvalidationModule.forRoot({
      serviceName: 'users',
      connection: process.env['REDIS_URL'],
      channel: process.env['CACHE_INVALIDATION_CHANNEL'],
    }),
  ],
  providers: [UsersService, UsersResolver],
})
export class AppModule {}
