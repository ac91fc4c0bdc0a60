import {
  Injectable,
  UseGuards,
  type CanActivate,
  type Type,
} from '@nestjs/common';
import {
  AbstractGraphQLDriver,
  Args,
  GraphQLModule,
  GraphQLSchemaHost,
  ID,
  Mutation,
  Query,
  Resolver,
} from '@nestjs/graphql';
// The copy of Nest: vite would take the package's other build.
import { graphql, type ExecutionResult } from 'graphql/index.js';
import { fromResult, InvalidatesCache } from 'nestjs-cache-invalidation';
import type { InvalidationRecorder } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it } from 'vitest';
import { startApp } from '../testing/fakes/start-app.js';

/** Builds the schema and serves nothing: the tests execute it themselves. */
@Injectable()
class NoServer extends AbstractGraphQLDriver {
  async start(): Promise<void> {}

  async stop(): Promise<void> {}
}

interface Api {
  readonly recorder: InvalidationRecorder;
  execute(source: string): Promise<ExecutionResult>;
}

async function apiOf(resolver: Type): Promise<Api> {
  const { app, recorder } = await startApp({
    imports: [
      GraphQLModule.forRoot({ driver: NoServer, autoSchemaFile: true }),
    ],
    providers: [resolver],
  });
  const { schema } = app.get(GraphQLSchemaHost, { strict: false });
  return {
    recorder,
    execute: (source) => graphql({ schema, source, contextValue: {} }),
  };
}

@Injectable()
class Closed implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

describe('@InvalidatesCache() on a GraphQL mutation', () => {
  it('publishes with the decorator above @Mutation()', async () => {
    @Resolver()
    class UsersResolver {
      @InvalidatesCache('User', (id: string) => id)
      @Mutation(() => String)
      async rename(
        @Args('id', { type: () => ID }) id: string,
        @Args('name') name: string,
      ): Promise<string> {
        return `${id} is ${name}`;
      }

      @Query(() => String)
      hello(): string {
        return 'hello';
      }
    }
    const { execute, recorder } = await apiOf(UsersResolver);

    const result = await execute('mutation { rename(id: "1", name: "Ada") }');

    expect(result).toEqual({ data: { rename: '1 is Ada' } });
    expect(recorder.published).toMatchObject([
      { entityType: 'User', entityId: '1' },
    ]);
  });

  it('publishes with the decorator below @Mutation()', async () => {
    @Resolver()
    class UsersResolver {
      @Mutation(() => String)
      @InvalidatesCache(
        'User',
        fromResult((name: string, id: string) => `${id}-${name}`),
      )
      async rename(
        @Args('id', { type: () => ID }) _id: string,
        @Args('name') name: string,
      ): Promise<string> {
        return name;
      }

      @Query(() => String)
      hello(): string {
        return 'hello';
      }
    }
    const { execute, recorder } = await apiOf(UsersResolver);

    const result = await execute('mutation { rename(id: "1", name: "Ada") }');

    expect(result).toEqual({ data: { rename: 'Ada' } });
    expect(recorder.published).toMatchObject([
      { entityType: 'User', entityId: '1-Ada' },
    ]);
  });

  it('publishes nothing when the mutation fails or a guard refuses, or for queries', async () => {
    @Resolver()
    class UsersResolver {
      @InvalidatesCache('User', () => 'never')
      @Mutation(() => String)
      async fails(): Promise<string> {
        throw new Error('no such user');
      }

      @UseGuards(Closed)
      @InvalidatesCache('User', () => 'never')
      @Mutation(() => String)
      async guarded(): Promise<string> {
        return 'not reached';
      }

      @Query(() => String)
      hello(): string {
        return 'hello';
      }
    }
    const { execute, recorder } = await apiOf(UsersResolver);

    const failed = await execute('mutation { fails }');
    const guarded = await execute('mutation { guarded }');
    const queried = await execute('{ hello }');

    expect(failed.errors?.map(({ message }) => message)).toEqual([
      'no such user',
    ]);
    expect(guarded.errors?.map(({ message }) => message)).toEqual([
      'Forbidden resource',
    ]);
    expect(queried).toEqual({ data: { hello: 'hello' } });
    expect(recorder.published).toEqual([]);
  });
});
