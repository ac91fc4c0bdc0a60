import {
  applyDecorators,
  Body,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Injectable,
  NotFoundException,
  Param,
  ParseIntPipe,
  Patch,
  Post,
  Put,
  Query,
  Scope,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type ArgumentMetadata,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
  type PipeTransform,
  type Type,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import {
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiProperty,
  ApiTags,
  DocumentBuilder,
  SwaggerModule,
} from '@nestjs/swagger';
import {
  fromResult,
  InvalidatesCache,
  InvalidatesCachePattern,
} from 'nestjs-cache-invalidation';
import {
  InMemoryBroker,
  InvalidationRecorder,
} from 'nestjs-cache-invalidation/testing';
import { map, of, throwError, type Observable } from 'rxjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildApp } from '../testing/fakes/start-app.js';

interface Server {
  readonly recorder: InvalidationRecorder;
  request(method: string, path: string, body?: object): Promise<Response>;
}

/** A real HTTP server on a free port. */
async function serve(...controllers: Type[]): Promise<Server> {
  const broker = new InMemoryBroker();
  const recorder = new InvalidationRecorder(broker);
  const module = await buildApp({ broker, controllers });
  const app = module.createNestApplication();
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return {
    recorder,
    request: (method, path, body) =>
      fetch(url + path, {
        method,
        ...(body && {
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      }),
  };
}

const OnlyFor = Reflector.createDecorator<string>();

@Injectable()
class RoleGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    return this.reflector.get(OnlyFor, context.getHandler()) === 'editor';
  }
}

@Injectable()
class Wrap implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next
      .handle()
      .pipe(map((data) => ({ handler: context.getHandler().name, data })));
  }
}

@Injectable()
class Upper implements PipeTransform {
  transform(value: unknown, { type }: ArgumentMetadata): unknown {
    return type === 'query' ? String(value).toUpperCase() : value;
  }
}

const invalidates = InvalidatesCache('User', (id: number) => id);

/** All decorators of Nest for methods, with one of this library at a given place. */
const others: readonly MethodDecorator[] = [
  Put('users/:id'),
  HttpCode(202),
  Header('x-kept', 'yes'),
  UseGuards(RoleGuard),
  OnlyFor('editor'),
  UseInterceptors(Wrap),
  UsePipes(Upper),
];

describe('@InvalidatesCache() on a controller method', () => {
  it.each(Array.from({ length: others.length + 1 }, (_, place) => [place]))(
    'keeps route, status, header, guard, interceptor and pipes at position %i',
    async (place) => {
      @Controller()
      class UsersController {
        @applyDecorators(
          ...others.toSpliced(place, 0, invalidates as MethodDecorator),
        )
        async update(
          @Param('id', ParseIntPipe) id: number,
          @Body() body: { name: string },
          @Query('as') as: string,
        ): Promise<object> {
          return { id, name: body.name, as };
        }
      }
      const { request, recorder } = await serve(UsersController);

      const response = await request('PUT', '/users/42?as=json', {
        name: 'Ada',
      });

      expect(response.status).toBe(202);
      expect(response.headers.get('x-kept')).toBe('yes');
      expect(await response.json()).toEqual({
        handler: 'update',
        data: { id: 42, name: 'Ada', as: 'JSON' },
      });
      // The number made by the pipe, not the text in the path.
      expect(recorder.published).toMatchObject([
        { entityType: 'User', entityId: '42' },
      ]);
    },
  );

  it('publishes nothing when a guard, a pipe or the method refuses', async () => {
    @Controller('users')
    class Refusing {
      @InvalidatesCache('User', () => 'never')
      @UseGuards(RoleGuard)
      @OnlyFor('admin')
      @Delete('guarded')
      async guarded(): Promise<void> {}

      @Delete('piped/:id')
      @InvalidatesCache('User', () => 'never')
      async piped(@Param('id', ParseIntPipe) _id: number): Promise<void> {}

      @Delete('missing')
      @InvalidatesCache('User', () => 'never')
      async missing(): Promise<void> {
        throw new NotFoundException('no such user');
      }

      @Delete('observable')
      @InvalidatesCache('User', () => 'never')
      observable(): Observable<never> {
        return throwError(() => new NotFoundException('no such user'));
      }
    }
    const { request, recorder } = await serve(Refusing);

    expect((await request('DELETE', '/users/guarded')).status).toBe(403);
    expect((await request('DELETE', '/users/piped/x')).status).toBe(400);
    const missing = await request('DELETE', '/users/missing');
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ message: 'no such user' });
    expect((await request('DELETE', '/users/observable')).status).toBe(404);

    expect(recorder.published).toEqual([]);
  });

  it('has published when its response arrives, for every kind of result', async () => {
    @Controller('users')
    class Returning {
      @Post('promise')
      @InvalidatesCache('User', fromResult((user: { id: number }) => user.id))
      async promise(): Promise<{ id: number }> {
        return { id: 1 };
      }

      @Post('observable')
      @InvalidatesCache('User', fromResult((user: { id: number }) => user.id))
      observable(): Observable<{ id: number }> {
        return of({ id: 2 });
      }

      @Post('intercepted')
      @UseInterceptors(Wrap)
      @InvalidatesCache('User', fromResult((user: { id: number }) => user.id))
      intercepted(): Observable<{ id: number }> {
        return of({ id: 3 });
      }

      @Post('sync')
      @InvalidatesCache('User', fromResult((user: { id: number }) => user.id))
      sync(): { id: number } {
        return { id: 4 };
      }
    }
    const { request, recorder } = await serve(Returning);

    for (const kind of ['promise', 'observable', 'intercepted', 'sync']) {
      const response = await request('POST', `/users/${kind}`);
      expect(response.status).toBe(201);
    }

    expect(recorder.published).toMatchObject([
      { entityId: '1' },
      { entityId: '2' },
      { entityId: '3' },
      { entityId: '4' },
    ]);
  });

  it('publishes for each request of a request-scoped controller', async () => {
    @Controller({ path: 'users', scope: Scope.REQUEST })
    class PerRequest {
      @Patch(':id')
      @InvalidatesCache('User', (id: string) => id)
      @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
      async update(@Param('id') id: string): Promise<string> {
        return id;
      }

      @Get()
      async list(): Promise<string[]> {
        return [];
      }
    }
    const { request, recorder } = await serve(PerRequest);

    await request('GET', '/users');
    await request('PATCH', '/users/1');
    await request('PATCH', '/users/2');

    expect(recorder.published).toMatchObject([
      { entityId: '1' },
      { pattern: 'feed:1:*' },
      { entityId: '2' },
      { pattern: 'feed:2:*' },
    ]);
  });
});

describe('The OpenAPI document of @nestjs/swagger', () => {
  class UserDto {
    @ApiProperty({ example: 'Ada' })
    name!: string;
  }

  const documented: readonly MethodDecorator[] = [
    ApiOperation({ summary: 'Renames a user' }),
    ApiOkResponse({ type: UserDto, description: 'The user' }),
    ApiParam({ name: 'id', description: 'Its id' }),
    Put(':id'),
  ];

  async function documentOf(decorators: readonly MethodDecorator[]) {
    @ApiTags('users')
    @Controller('users')
    class UsersController {
      @applyDecorators(...decorators)
      async update(
        @Param('id') _id: string,
        @Body() body: UserDto,
      ): Promise<UserDto> {
        return body;
      }
    }
    const module = await buildApp({ controllers: [UsersController] });
    const app = module.createNestApplication();
    onTestFinished(() => app.close());
    await app.init();
    return SwaggerModule.createDocument(app, new DocumentBuilder().build());
  }

  it.each(Array.from({ length: documented.length + 1 }, (_, place) => [place]))(
    'is the same with the decorator at position %i as without it',
    async (place) => {
      const decorate = InvalidatesCache('User', (id: string) => id);

      const without = await documentOf(documented);
      const withIt = await documentOf(
        documented.toSpliced(place, 0, decorate as MethodDecorator),
      );

      expect(withIt).toEqual(without);
      expect(withIt.paths['/users/{id}']?.put).toMatchObject({
        operationId: 'UsersController_update',
        summary: 'Renames a user',
        parameters: [{ name: 'id', description: 'Its id' }],
        requestBody: {
          content: {
            'application/json': {
              schema: { $ref: '#/components/schemas/UserDto' },
            },
          },
        },
        responses: { 200: { description: 'The user' } },
      });
    },
  );
});
