/** Reads of a client that has just written, where near caches load from a replica. */
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
  NearCacheFactory,
  type NearCache,
} from 'nestjs-cache-invalidation';
import {
  OFFSET_HEADER,
  ReadYourWritesInterceptor,
} from 'nestjs-cache-invalidation/http';
import { randomUUID } from 'node:crypto';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { HandReplica } from '../replica/hand-replica.js';

/** Where each write commits. */
const COMMIT = '0/20';

class Database {
  readonly replica = new HandReplica('pg');
  /** Whether the replica has replayed the write. */
  hasReplayed = false;

  replay(): void {
    this.hasReplayed = true;
    this.replica.at('0/21');
  }
}

async function serve({ hasPrimary }: { hasPrimary: boolean }) {
  const database = new Database();
  const { replica } = database;
  const primary = hasPrimary ? () => 'of the primary' : undefined;

  @Injectable()
  class Users {
    readonly #users: NearCache<string>;

    constructor(@Inject(NearCacheFactory) caches: NearCacheFactory) {
      this.#users = caches.create('User', { replica, primary });
    }

    find(id: string): Promise<string> {
      return this.#users.get(id, () => (database.hasReplayed ? 'new' : 'old'));
    }

    @InvalidatesCache('User', (id: string) => id, {
      at: (id: string) => (id === 'unknown' ? undefined : { pg: COMMIT }),
    })
    async write(_id: string): Promise<void> {}
  }

  @Controller()
  class UsersController {
    constructor(@Inject(Users) private readonly users: Users) {}

    @Get(':id')
    find(@Param('id') id: string): Promise<string> {
      return this.users.find(id);
    }

    @Put(':id')
    write(@Param('id') id: string): Promise<void> {
      return this.users.write(id);
    }
  }

  @Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: inject('redisUrl'),
        serviceName: 'users',
        channel: randomUUID(),
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
  const url = await app.getUrl();

  async function request(method: string, id: string, token = '') {
    const headers: Record<string, string> =
      token === '' ? {} : { [OFFSET_HEADER]: token };
    const response = await fetch(`${url}/${id}`, { method, headers });
    return {
      body: await response.text(),
      token: response.headers.get(OFFSET_HEADER) ?? '',
    };
  }
  const get = async (id: string, token?: string): Promise<string> =>
    (await request('GET', id, token)).body;
  const put = async (id: string, token?: string): Promise<string> =>
    (await request('PUT', id, token)).token;

  // Everything is marked at the start.
  let reads = 0;
  await vi.waitFor(async () => {
    expect(await get(`start ${reads++}`)).toBe('old');
  });
  return { database, get, put };
}

describe('ReadYourWritesInterceptor and a replica', () => {
  it('tells the position of the last commit, and repeats that of the request', async () => {
    const { put } = await serve({ hasPrimary: false });

    const token = await put('1');
    expect(token).toMatch(/^\d+-\d+,@pg=0-32$/);
    expect(await put('unknown', token)).toMatch(/^@pg=0-32,\d+-\d+$/);
    expect(await put('1', '@pg=0-31')).toMatch(/^@pg=0-32,\d+-\d+$/);
    expect(await put('1', '@pg=0-33')).toMatch(/^@pg=0-33,\d+-\d+$/);
    expect(await put('unknown')).toMatch(/^\d+-\d+$/);
  });

  it('makes a read wait until the replica has the write, also of what no message named', async () => {
    const { database, get, put } = await serve({ hasPrimary: false });
    const token = await put('1');

    // Without the header the answer is old, which proves that the test can fail.
    expect(await get('1')).toBe('old');
    expect(await get('2')).toBe('old');
    let answers = 0;
    const reads = ['1', '3'].map(async (id) => {
      const body = await get(id, token);
      answers++;
      return body;
    });
    await database.replica.wasAsked(3);
    expect(answers).toBe(0);
    database.replay();

    expect(await Promise.all(reads)).toEqual(['new', 'new']);
  });

  it('makes a read load from the primary, if the cache can', async () => {
    const { get, put } = await serve({ hasPrimary: true });
    const token = await put('1');

    expect(await get('2')).toBe('old');
    expect(await get('3', token)).toBe('of the primary');
    expect(await get('1', token)).toBe('of the primary');
  });

  it('answers an old row after a second, and leaves nothing behind a position that nobody has reached', async () => {
    const { database, get } = await serve({ hasPrimary: false });
    const { asked } = database.replica;
    const begin = performance.now();

    expect(await get('1', '@pg=4294967295-4294967295')).toBe('old');

    const took = performance.now() - begin;
    expect(took).toBeGreaterThan(990);
    expect(took).toBeLessThan(3_000);
    const { applied } = asked;
    expect(await get('2')).toBe('old');
    expect(asked.applied).toBeLessThanOrEqual(applied + 1);
  });

  it('waits a second in all for the journal and the replica', async () => {
    const { get } = await serve({ hasPrimary: false });
    const begin = performance.now();

    expect(await get('1', '99999999999999-0,@pg=0-32')).toBe('old');

    expect(performance.now() - begin).toBeLessThan(1_900);
  });
});
