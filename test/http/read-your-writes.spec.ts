import {
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Param,
  Put,
} from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import {
  CacheInvalidationModule,
  InvalidatesCache,
  InvalidationSubscriber,
  type CacheInvalidationModuleOptions,
} from 'nestjs-cache-invalidation';
import {
  OFFSET_HEADER,
  ReadYourWritesInterceptor,
} from 'nestjs-cache-invalidation/http';
import { randomUUID } from 'node:crypto';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { startProxy } from '../support/proxy.js';

/** Rows that all instances share. */
const rows = new Map<string, number>();

@Injectable()
class Users {
  readonly cache = new Map<string, number>();

  constructor(
    @Inject(InvalidationSubscriber) subscriber: InvalidationSubscriber,
  ) {
    const { cache } = this;
    subscriber.subscribe((message) => {
      if (message.action === 'Pattern') cache.clear();
      else cache.delete(String(message.entityId));
    });
  }

  find(id: string): number {
    const version = this.cache.get(id) ?? rows.get(id) ?? 0;
    this.cache.set(id, version);
    return version;
  }

  @InvalidatesCache('User', (id: string) => id)
  async write(id: string): Promise<number> {
    const version = (rows.get(id) ?? 0) + 1;
    rows.set(id, version);
    return version;
  }
}

@Controller('users')
class UsersController {
  constructor(@Inject(Users) private readonly users: Users) {}

  @Get(':id')
  find(@Param('id') id: string): number {
    return this.users.find(id);
  }

  @Put(':id')
  write(@Param('id') id: string): Promise<number> {
    return this.users.write(id);
  }

  @Put(':id/failing')
  async fail(@Param('id') id: string): Promise<never> {
    await this.users.write(id);
    throw new Error('after the write');
  }
}

async function serve(
  options: Partial<CacheInvalidationModuleOptions> & { channel: string },
): Promise<{ url: string }> {
  @Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: inject('redisUrl'),
        serviceName: 'users',
        ...options,
      }),
    ],
    controllers: [UsersController],
    providers: [
      Users,
      { provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor },
    ],
  })
  class AppModule {}
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  onTestFinished(() => app.close());
  return { url: `${await app.getUrl()}/users` };
}

async function request(
  url: string,
  method = 'GET',
  offset: string | null = null,
): Promise<{ body: string; offset: string | null; status: number }> {
  const headers: Record<string, string> =
    offset === null ? {} : { [OFFSET_HEADER]: offset };
  const response = await fetch(url, { method, headers });
  return {
    body: await response.text(),
    offset: response.headers.get(OFFSET_HEADER),
    status: response.status,
  };
}

describe('ReadYourWritesInterceptor', () => {
  it('makes a read on a slow instance wait for a write on another', async () => {
    const channel = randomUUID();
    const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
    onTestFinished(() => proxy.close());
    const fast = await serve({ channel });
    const slow = await serve({ channel, connection: proxy.url });
    const id = randomUUID();
    expect((await request(`${slow.url}/${id}`)).body).toBe('0');

    proxy.swallow('down');
    const written = await request(`${fast.url}/${id}`, 'PUT');
    expect(written.offset).toMatch(/^\d+-\d+$/);

    // Without the header the result is stale, which proves that the test can fail.
    expect((await request(`${slow.url}/${id}`)).body).toBe('0');
    const reading = request(`${slow.url}/${id}`, 'GET', written.offset);
    proxy.pass();
    proxy.cut();
    const read = await reading;
    expect(read.body).toBe('1');
    expect(read.offset).toBeNull();
  });

  it('returns to each concurrent request its own offset', async () => {
    const { url } = await serve({ channel: randomUUID() });
    const writes = await Promise.all(
      Array.from({ length: 50 }, () =>
        request(`${url}/${randomUUID()}`, 'PUT'),
      ),
    );
    const offsets = writes.map(({ offset }) => offset);
    expect(offsets).not.toContain(null);
    expect(new Set(offsets).size).toBe(50);
  });

  it('returns the offset of a request that failed after its write', async () => {
    const { url } = await serve({ channel: randomUUID() });
    const failed = await request(`${url}/1/failing`, 'PUT');
    expect(failed.status).toBe(500);
    expect(failed.offset).toMatch(/^\d+-\d+$/);
  });

  it('ignores an invalid header, a future offset, and a missing journal', async () => {
    const { url } = await serve({ channel: randomUUID() });
    const bare = await serve({ channel: randomUUID(), journal: false });
    const id = randomUUID();
    for (const offset of ['garbage', '9-', '99999999999999-0']) {
      expect((await request(`${url}/${id}`, 'GET', offset)).body).toBe('0');
    }
    expect((await request(`${bare.url}/${id}`, 'GET', '1-1')).body).toBe('0');
    expect((await request(`${bare.url}/${id}`, 'PUT')).offset).toBeNull();
  });
});
