import {
  Controller,
  Get,
  Header,
  Headers,
  NotFoundException,
  Param,
  Post,
  Query,
  Res,
  StreamableFile,
  UseGuards,
  UseInterceptors,
  ClassSerializerInterceptor,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { Exclude } from 'class-transformer';
import {
  CacheInvalidationModule,
  entity,
  InvalidationPublisher,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { CachedRoute } from 'nestjs-cache-invalidation/http';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { uniqueChannel } from '../support/app.js';

class User {
  @Exclude()
  readonly hash = 'secret hash';
  constructor(
    readonly id: string,
    readonly version: number,
  ) {}
}

interface RawResponse {
  writeHead(this: unknown, ...args: unknown[]): unknown;
  setHeader(name: string, value: string): unknown;
}

/** Responses of express and fastify have these in common. */
interface Response {
  readonly raw?: RawResponse;
  status(code: number): unknown;
  header(name: string, value: string): unknown;
}

const byId = (request: { params: { id: string } }): string => request.params.id;

/** Sets properties of the request, as its query asks. */
class Knowing implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context
      .switchToHttp()
      .getRequest<{ url: string; [property: string]: unknown }>();
    const [, property] = request.url.split('?');
    if (property !== undefined) request[property] = { id: '1' };
    return true;
  }
}

@Controller('users')
class UsersController {
  calls = 0;

  @Get('feed/:id')
  @CachedRoute('Feed', byId, { dependsOn: () => entity('Post', 1) })
  feed(): object {
    return { calls: ++this.calls };
  }

  @Get('mine/:id')
  @CachedRoute('User', byId, {
    vary: ({ headers }: { headers: Record<string, string> }) =>
      headers['authorization'],
  })
  mine(@Headers('authorization') who: string): object {
    return { who, calls: ++this.calls };
  }

  @Get('cookie/:id')
  @CachedRoute('User', byId)
  cookie(@Res({ passthrough: true }) response: Response): object {
    response.header('set-cookie', `session=${++this.calls}`);
    return { calls: this.calls };
  }

  @Get('status/:id')
  @CachedRoute('User', byId)
  status(@Res({ passthrough: true }) response: Response): object {
    response.status(202);
    return { calls: ++this.calls };
  }

  @Get('private/:id')
  @CachedRoute('User', byId)
  private(@Res({ passthrough: true }) response: Response): object {
    response.header('cache-control', 'private');
    return { calls: ++this.calls };
  }

  @Get('stream/:id')
  @CachedRoute('User', byId)
  stream(): StreamableFile {
    return new StreamableFile(Buffer.from(String(++this.calls)));
  }

  @Get('missing/:id')
  @CachedRoute('User', byId)
  missing(): never {
    throw new NotFoundException(String(++this.calls));
  }

  @Get('headers/:id')
  @Header('x-static', 'yes')
  @CachedRoute('User', byId)
  headers(@Res({ passthrough: true }) response: Response): object {
    response.header('x-calls', String(++this.calls));
    return {};
  }

  @Get('slow/:id')
  @CachedRoute('User', byId)
  async slow(
    @Param('id') id: string,
    @Res({ passthrough: true }) response: Response,
  ): Promise<object> {
    const calls = ++this.calls;
    if (id === 'cookie') response.header('set-cookie', `session=${calls}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { calls };
  }

  /** Sets a header with the head of the response, as session middleware does. */
  @Get('late/:id')
  @CachedRoute('User', byId)
  late(@Res({ passthrough: true }) response: Response): object {
    const raw = response.raw ?? (response as unknown as RawResponse);
    const calls = ++this.calls;
    const { writeHead } = raw;
    raw.writeHead = function (...args) {
      response.header('set-cookie', `session=${calls}`);
      raw.setHeader('set-cookie', `session=${calls}`);
      return writeHead.apply(this, args);
    };
    return { calls };
  }

  @Get('vary/:id')
  @Header('Vary', 'X-Tenant')
  @CachedRoute('User', byId)
  varied(): object {
    return { calls: ++this.calls };
  }

  @Get('number/:id')
  @CachedRoute('User', byId, {
    vary: ({ headers }: { headers: Record<string, string> }) =>
      Number(headers['x-user']),
  })
  numbered(): object {
    return { calls: ++this.calls };
  }

  @Get('role/:id')
  @CachedRoute('User', byId, {
    vary: ({ headers }: { headers: Record<string, string> }) =>
      headers['x-role'],
  })
  role(): object {
    return { name: 'the same before it is serialized' };
  }

  @Get('personal/:id')
  @UseGuards(Knowing)
  @CachedRoute('User', byId)
  personal(): object {
    return { calls: ++this.calls };
  }

  @Get('nobody/:id')
  @CachedRoute('User', () => [])
  nobody(): object {
    return { calls: ++this.calls };
  }

  @Get('none/:id')
  @CachedRoute('User', () => undefined)
  none(): object {
    return { calls: ++this.calls };
  }

  @Post(':id')
  @CachedRoute('User', byId)
  write(): object {
    return { calls: ++this.calls };
  }

  @Get(':id')
  @UseInterceptors(ClassSerializerInterceptor)
  @CachedRoute('User', byId)
  find(@Param('id') id: string, @Query('fields') _fields: string): User {
    return new User(id, ++this.calls);
  }
}

async function start(
  adapter: 'express' | 'fastify',
  channel = uniqueChannel(),
): Promise<{
  app: INestApplication;
  url: string;
  publisher: InvalidationPublisher;
  body(path: string, init?: RequestInit): Promise<object>;
}> {
  const module = await Test.createTestingModule({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: inject('redisUrl'),
        channel,
        serviceName: 'routes',
      }),
    ],
    controllers: [UsersController],
  }).compile();
  const app: INestApplication = module.createNestApplication(
    adapter === 'express' ? new ExpressAdapter() : new FastifyAdapter(),
    { logger: false },
  );
  await app.listen(0, '127.0.0.1');
  onTestFinished(() => app.close());
  const url = `${await app.getUrl()}/users`;
  const body = async (path: string, init?: RequestInit): Promise<object> => {
    const response = await fetch(url + path, init);
    return (await response.json()) as object;
  };
  return { app, url, publisher: app.get(InvalidationPublisher), body };
}

describe.each(['express', 'fastify'] as const)('@CachedRoute() on %s', (on) => {
  it('responds from memory until its entity is invalidated, by any instance', async () => {
    const channel = uniqueChannel();
    const { body, publisher, app } = await start(on, channel);
    const other = await start(on, channel);
    expect(await body('/1')).toEqual({ id: '1', version: 1 });
    expect(await body('/1')).toEqual({ id: '1', version: 1 });
    expect(await other.body('/1')).toEqual({ id: '1', version: 1 });
    await publisher.invalidate('User', 2);
    expect(await body('/1')).toMatchObject({ version: 1 });
    await other.publisher.invalidate('User', 1);
    expect(await other.body('/1')).toMatchObject({ version: 2 });
    await expect.poll(() => body('/1')).toMatchObject({ version: 2 });
    await publisher.invalidatePattern('user:*');
    expect(await body('/1')).toMatchObject({ version: 3 });
    const stats = app.get(NearCacheFactory).stats();
    expect(stats.get('UsersController.find')).toMatchObject({ loads: 3 });
  });

  it('caches each query and host separately', async () => {
    const { body } = await start(on);
    for (let at = 0; at < 2; at++) {
      expect(await body('/1')).toMatchObject({ version: 1 });
      expect(await body('/1?fields=a')).toMatchObject({ version: 2 });
      expect(await body(`/1?fields=${'a'.repeat(500)}`)).toMatchObject({
        version: 3,
      });
      expect(await body('/2')).toMatchObject({ version: 4 });
    }
  });

  it('responds with 304 to a matching ETag, and with 200 after a change', async () => {
    const { url, publisher } = await start(on);
    const first = await fetch(`${url}/1`);
    const etag = first.headers.get('etag')!;
    expect(etag).toMatch(/^W\/"[\w-]+"$/);
    for (const known of [etag, `"other", ${etag}`, etag.slice(2), '*']) {
      const again = await fetch(`${url}/1`, {
        headers: { 'if-none-match': known },
      });
      expect(again.status).toBe(304);
      expect(again.headers.get('etag')).toBe(etag);
      expect(await again.text()).toBe('');
    }
    await publisher.invalidate('User', 1);
    const changed = await fetch(`${url}/1`, {
      headers: { 'if-none-match': etag },
    });
    expect(changed.status).toBe(200);
    expect(changed.headers.get('etag')).not.toBe(etag);
    const head = await fetch(`${url}/1`, { method: 'HEAD' });
    expect(head.headers.get('etag')).toBe(changed.headers.get('etag'));
  });

  it.each([
    ['authorization', 'Bearer a'],
    ['cookie', 'session=a'],
    ['x-api-key', 'a'],
  ])('does not cache a request with %s', async (name, value) => {
    const { body } = await start(on);
    const headers = { [name]: value };
    expect(await body('/1', { headers })).toMatchObject({ version: 1 });
    expect(await body('/1')).toMatchObject({ version: 2 });
    expect(await body('/1', { headers })).toMatchObject({ version: 3 });
  });

  it('caches users separately with the option vary', async () => {
    const { body, publisher } = await start(on);
    const as = (authorization: string): Promise<unknown> =>
      body('/mine/1', { headers: { authorization } });
    for (let at = 0; at < 2; at++) {
      expect(await as('ada')).toEqual({ who: 'ada', calls: 1 });
      expect(await as('grace')).toEqual({ who: 'grace', calls: 2 });
    }
    // Responses to anonymous requests are not cached.
    expect(await body('/mine/1')).toEqual({ calls: 3 });
    expect(await body('/mine/1')).toEqual({ calls: 4 });
    await publisher.invalidate('User', 1);
    expect(await as('ada')).toEqual({ who: 'ada', calls: 5 });
    expect(await as('grace')).toEqual({ who: 'grace', calls: 6 });
  });

  it.each(['cookie', 'status', 'private', 'none', 'missing', 'stream'])(
    'does not cache a response for a single request: %s',
    async (path) => {
      const { url } = await start(on);
      const texts = new Set<string>();
      for (let at = 0; at < 3; at++) {
        texts.add(await (await fetch(`${url}/${path}/1`)).text());
      }
      expect(texts.size).toBe(3);
      const cookie = (await fetch(`${url}/${path}/1`)).headers.get(
        'set-cookie',
      );
      expect(cookie !== null).toBe(path === 'cookie');
    },
  );

  it('does not cache when a cookie is set late, and does not share it with waiting requests', async () => {
    const { url, body } = await start(on);
    const first = await fetch(`${url}/late/1`);
    expect(first.headers.get('set-cookie')).toBe('session=1');
    expect(await first.json()).toEqual({ calls: 1 });
    const both = await Promise.all([body('/late/1'), body('/late/1')]);
    expect(new Set(both.map((each) => JSON.stringify(each))).size).toBe(2);
  });

  it.each(['/vary/1', '/number/1', '/nobody/1'])(
    'does not cache %s, whose variant or entity is unknown',
    async (path) => {
      const { body } = await start(on);
      const first = await body(path);
      expect(await body(path)).not.toEqual(first);
    },
  );

  it('gives each variant its own ETag', async () => {
    const { url } = await start(on);
    const get = (role: string, etag = ''): Promise<globalThis.Response> =>
      fetch(`${url}/role/1`, {
        headers: { 'x-role': role, 'if-none-match': etag },
      });
    const etag = (await get('admin')).headers.get('etag')!;
    expect((await get('admin', etag)).status).toBe(304);
    expect((await get('user', etag)).status).toBe(200);
  });

  it.each(['user', 'session'])(
    'does not cache a request with a %s that vary does not cover',
    async (property) => {
      const { app, body } = await start(on);
      const controller = app.get(UsersController);
      expect(controller.calls).toBe(0);
      const personal = `/personal/1?${property}`;
      const first = await body(personal);
      expect(await body(personal)).not.toEqual(first);
      expect(await body('/personal/1')).toEqual(await body('/personal/1'));
    },
  );

  it('does not cache other methods', async () => {
    const { body } = await start(on);
    const post = (): Promise<unknown> => body('/1', { method: 'POST' });
    expect(await post()).toEqual({ calls: 1 });
    expect(await post()).toEqual({ calls: 2 });
  });

  it('runs the method once for concurrent requests, unless the response is for a single one', async () => {
    const { body } = await start(on);
    const three = async (path: string): Promise<unknown[]> => {
      const all = await Promise.all([body(path), body(path), body(path)]);
      return all.map((one) => (one as { readonly calls: number }).calls);
    };
    expect(await three('/slow/1')).toEqual([1, 1, 1]);
    const calls = await three('/slow/cookie');
    expect(new Set(calls).size).toBe(3);
  });

  it('repeats headers set by the method', async () => {
    const { url } = await start(on);
    for (let at = 0; at < 2; at++) {
      const { headers } = await fetch(`${url}/headers/1`);
      expect(headers.get('x-calls')).toBe('1');
      expect(headers.get('x-static')).toBe('yes');
    }
  });

  it('evicts the response when a dependency is invalidated', async () => {
    const { body, publisher } = await start(on);
    await body('/feed/1');
    expect(await body('/feed/1')).toEqual({ calls: 1 });
    await publisher.invalidate('Post', 1);
    expect(await body('/feed/1')).toEqual({ calls: 2 });
    await publisher.invalidate('Feed', 1);
    expect(await body('/feed/1')).toEqual({ calls: 3 });
  });
});

describe('@CachedRoute()', () => {
  it('runs without the module, and caches nothing', async () => {
    const module = await Test.createTestingModule({
      controllers: [UsersController],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    onTestFinished(() => app.close());
    const url = `${await app.getUrl()}/users/none/1`;
    expect(await (await fetch(url)).json()).toEqual({ calls: 1 });
    expect(module.get(UsersController).find('1', '')).toBeInstanceOf(User);
  });

  it('rejects invalid arguments', () => {
    expect(() => CachedRoute('', byId)).toThrow('entity type');
    expect(() => CachedRoute('User', 'id' as never)).toThrow('selector');
    expect(() => CachedRoute('User', byId, { ttl: -1 })).toThrow('ttl');
    expect(() => CachedRoute('User', byId, { vary: 1 as never })).toThrow(
      'vary',
    );
  });
});
