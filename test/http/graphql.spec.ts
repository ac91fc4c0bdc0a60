import { randomUUID } from 'node:crypto';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Inject, Injectable, Module } from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import {
  Args,
  Field,
  GraphQLModule,
  ID,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import {
  Cached,
  CacheInvalidationModule,
  InvalidatesCache,
} from 'nestjs-cache-invalidation';
import {
  OFFSET_HEADER,
  ReadYourWritesInterceptor,
} from 'nestjs-cache-invalidation/http';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { startProxy } from '../support/proxy.js';

/** Rows that all instances share. */
const rows = new Map<string, number>();
let loads = 0;

@Injectable()
class Authors {
  @Cached('User', (id: string) => id)
  async find(id: string): Promise<{ id: string; version: number }> {
    loads++;
    return { id, version: rows.get(id) ?? 0 };
  }

  @InvalidatesCache('User', (id: string) => id)
  async write(id: string): Promise<number> {
    const version = (rows.get(id) ?? 0) + 1;
    rows.set(id, version);
    return version;
  }
}

@ObjectType()
class Author {
  @Field(() => ID)
  id!: string;

  @Field(() => Int)
  version!: number;
}

@ObjectType()
class Post {
  @Field(() => ID)
  authorId!: string;
}

@Resolver(() => Post)
class PostsResolver {
  constructor(@Inject(Authors) private readonly authors: Authors) {}

  @Query(() => [Post])
  posts(@Args('of', { type: () => ID }) of: string): Post[] {
    return [{ authorId: of }, { authorId: of }];
  }

  /**
   * Author from the near cache, for each post; a change evicts it on every
   * instance.
   */
  @ResolveField(() => Author)
  author(@Parent() { authorId }: Post): Promise<Author> {
    return this.authors.find(authorId);
  }

  @Mutation(() => Int)
  write(@Args('id', { type: () => ID }) id: string): Promise<number> {
    return this.authors.write(id);
  }

  @Mutation(() => Int)
  async fail(@Args('id', { type: () => ID }) id: string): Promise<number> {
    await this.authors.write(id);
    throw new Error('after the write');
  }
}

async function serve(channel: string, connection = inject('redisUrl')) {
  @Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection,
        channel,
        serviceName: 'posts',
      }),
      GraphQLModule.forRoot<ApolloDriverConfig>({
        driver: ApolloDriver,
        autoSchemaFile: true,
      }),
    ],
    providers: [
      Authors,
      PostsResolver,
      { provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor },
    ],
  })
  class AppModule {}
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  onTestFinished(() => app.close());
  const url = `${await app.getUrl()}/graphql`;
  return async (query: string, offset?: string | null) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(offset && { [OFFSET_HEADER]: offset }),
      },
      body: JSON.stringify({ query }),
    });
    const { data } = (await response.json()) as { data: unknown };
    return {
      text: JSON.stringify(data),
      offset: response.headers.get(OFFSET_HEADER),
    };
  };
}

const postsOf = (id: string): string =>
  `{ posts(of: "${id}") { author { version } } }`;
const versions = (version: number): string =>
  JSON.stringify({
    posts: [{ author: { version } }, { author: { version } }],
  });

describe('ReadYourWritesInterceptor with GraphQL', () => {
  it('makes a query on a slow instance wait for a mutation on another', async () => {
    const channel = randomUUID();
    const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
    onTestFinished(() => proxy.close());
    const fast = await serve(channel);
    const slow = await serve(channel, proxy.url);
    const id = randomUUID();
    expect((await slow(postsOf(id))).text).toBe(versions(0));

    proxy.swallow('down');
    const written = await fast(`mutation { write(id: "${id}") }`);
    expect(written.offset).toMatch(/^\d+-\d+$/);
    // Without the header the result is stale, which proves that the test can fail.
    expect((await slow(postsOf(id))).text).toBe(versions(0));
    const reading = slow(postsOf(id), written.offset);
    proxy.pass();
    proxy.cut();
    const read = await reading;
    expect(read).toEqual({ text: versions(1), offset: null });
  });

  it('returns the last offset of several mutations, also when one failed', async () => {
    const ask = await serve(randomUUID());
    const one = await ask(`mutation { write(id: "${randomUUID()}") }`);
    const several = await ask(
      `mutation { a: write(id: "${randomUUID()}") b: write(id: "${randomUUID()}") }`,
    );
    const failed = await ask(`mutation { fail(id: "${randomUUID()}") }`);
    const [, ...later] = [one, several, failed].map(({ offset }) =>
      BigInt(offset!.split('-')[0]!),
    );
    expect(later.every((ms) => ms >= BigInt(one.offset!.split('-')[0]!))).toBe(
      true,
    );
  });

  it('reads a resolved field from the near cache until it changes', async () => {
    const ask = await serve(randomUUID());
    const id = randomUUID();
    loads = 0;
    await ask(postsOf(id));
    await ask(postsOf(id));
    expect(loads).toBe(1);
    await ask(`mutation { write(id: "${id}") }`);
    expect((await ask(postsOf(id))).text).toBe(versions(1));
    expect(loads).toBe(2);
  });
});
