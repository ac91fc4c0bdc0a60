import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import {
  CacheInvalidationModule,
  CacheStaleError,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished } from 'vitest';
import { blocksOf, root } from '../docs/markdown.js';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type AppOptions,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { HOST, type RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import {
  becomes,
  connectionTo,
  patient,
  startLinks,
  type Links,
} from '../subscriber/setup.js';
import {
  NeedsRight,
  Permissions,
  RightsGuard,
  RightsTable,
} from './permissions.js';

/** `maxStaleness` of the recipe. */
const BOUND = 2_000;
/** A port without a server. */
const NOWHERE = 1;

/** The database, which all instances share. */
class Table extends RightsTable {
  readonly rows = new Map([['ada', ['invoices', 'refunds']]]);
  finds = 0;

  async find(userId: string): Promise<readonly string[]> {
    this.finds++;
    return [...(this.rows.get(userId) ?? [])];
  }

  async delete(userId: string, right: string): Promise<void> {
    const left = this.rows.get(userId)?.filter((each) => each !== right);
    this.rows.set(userId, left ?? []);
  }
}

async function startService(table: Table, options: AppOptions) {
  const app = await startApp({
    ...options,
    providers: [Permissions, { provide: RightsTable, useValue: table }],
  });
  const permissions = app.context.get(Permissions);
  const names = app.context.get(NearCacheFactory).create<string>('Name');
  return {
    app,
    permissions,
    mayRefund: () => permissions.has('ada', 'refunds'),
    /** A cache without a bound, in the same instance. */
    name: (load = (): string => expect.unreachable()) => names.get('ada', load),
  };
}

type Service = Awaited<ReturnType<typeof startService>>;

interface Stage {
  readonly table: Table;
  readonly server: RedisServer;
  readonly links: Links;
  readonly revoker: Service;
  /** One behind links that a fault may hit, and one without. */
  readonly others: readonly [Service, Service];
}

/** Three instances that have cached a right. */
async function startStage(): Promise<Stage> {
  const table = new Table();
  const server = await startServer();
  const links = await startLinks(server);
  const channel = uniqueChannel();
  const direct = { connection: server.url, channel };
  const revoker = await startService(table, direct);
  const others = [
    await startService(table, { connection: links.connection, channel }),
    await startService(table, direct),
  ] as const;
  for (const each of [revoker, ...others]) {
    expect(await each.mayRefund()).toBe(true);
    await each.name(() => 'Ada');
  }
  await eventually(() => servesFromMemory(table, others), patient);
  return { table, server, links, revoker, others };
}

async function servesFromMemory(
  table: Table,
  services: readonly Service[],
): Promise<void> {
  for (const each of services) await each.mayRefund();
  const before = table.finds;
  for (const each of services) await each.mayRefund();
  expect(table.finds).toBe(before);
}

/** Reads on all instances, again and again; those that begin after the bound must be refused. */
async function isRefusedFrom(
  deadline: number,
  services: readonly Service[],
): Promise<void> {
  let late = 0;
  while (late < 50) {
    for (const { mayRefund } of services) {
      const isLate = performance.now() >= deadline;
      const may = await mayRefund();
      if (!isLate) continue;
      late++;
      expect(may).toBe(false);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Fault {
  readonly strike: (stage: Stage) => void;
  readonly heal: (stage: Stage) => unknown;
  /** Whether the revoker can publish. */
  readonly isTold: boolean;
}

const ofLinks = (strike: (links: Links) => void): Fault => ({
  strike: ({ links }) => strike(links),
  heal: ({ links: { commands, subscription } }) => {
    commands.pass();
    subscription.pass();
  },
  isTold: true,
});

const FAULTS: Record<string, Fault> = {
  'there is no fault': ofLinks(() => {}),
  'the links of one are cut': ofLinks(({ commands, subscription }) => {
    for (const link of [commands, subscription]) {
      link.swallow();
      link.cut();
    }
  }),
  'the links of one are half-open': ofLinks(({ commands, subscription }) => {
    commands.swallow();
    subscription.swallow();
  }),
  'the subscription of one receives nothing': ofLinks(({ subscription }) =>
    subscription.swallow('down'),
  ),
  'Redis is stopped': {
    strike: ({ server }) => server.pause(),
    heal: ({ server }) => server.resume(),
    isTold: false,
  },
  'Redis is killed': {
    strike: ({ server }) => server.kill(),
    heal: ({ server }) => server.restart(),
    isTold: false,
  },
};

describe('The recipe for permissions', () => {
  it('is that of the page', () => {
    const code = readFileSync(
      join(root, 'test/scenarios/permissions.ts'),
      'utf8',
    );
    const blocks = blocksOf('docs/permissions.md').map((block) => block.code);
    expect(blocks).toContain(code);
  });
});

describeOnRedisServer('A revoked right', () => {
  it.each(Object.entries(FAULTS))(
    'is refused by all instances within the bound: %s',
    async (_, { strike, heal, isTold }) => {
      const stage = await startStage();
      const { table, revoker, others } = stage;
      strike(stage);

      expect(await revoker.permissions.revoke('ada', 'refunds')).toBe(isTold);
      await isRefusedFrom(performance.now() + BOUND, [revoker, ...others]);
      // Caches without a bound serve what they have.
      for (const each of others) expect(await each.name()).toBe('Ada');

      await heal(stage);
      await eventually(() => servesFromMemory(table, others), patient);
      await isRefusedFrom(performance.now(), others);
    },
  );

  it('is refused by the first read of a process that was frozen', async () => {
    const { table, links, others } = await startStage();
    links.commands.swallow();
    links.subscription.swallow();
    await table.delete('ada', 'refunds');

    // No timer and no message in this process until the bound is over.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BOUND);
    const first = others.map(({ mayRefund }) => mayRefund());

    expect(await Promise.all(first)).toEqual([false, false]);
  });

  it('is refused after a failover to a server that lacks the message, whose publisher stays away', async () => {
    const table = new Table();
    const master = await startServer({ real: true });
    const replica = await startServer({
      real: true,
      args: ['--replicaof', HOST, String(master.port)],
    });
    const channel = uniqueChannel();
    const proxy = await startProxy(master.port);
    onTestFinished(() => proxy.close());
    let current = proxy.port;
    const revoker = await startService(table, {
      connection: master.url,
      channel,
    });
    const reader = await startService(table, {
      connection: connectionTo(() => current),
      channel,
    });
    await revoker.app.publisher.invalidateUser('before');
    expect(await reader.mayRefund()).toBe(true);
    const promoted = connectRaw(replica.url);
    await eventually(
      async () => expect(await promoted.xlen(`{${channel}}:journal`)).toBe(1),
      patient,
    );
    await promoted.replicaof('NO', 'ONE');
    current = NOWHERE;
    proxy.cut();
    await becomes(reader.app, 'disconnected');
    expect(await revoker.permissions.revoke('ada', 'refunds')).toBe(true);
    current = replica.port;
    await becomes(reader.app, 'live');

    expect(await reader.mayRefund()).toBe(false);
    await isRefusedFrom(performance.now(), [reader]);
    expect(await reader.name(() => 'Ada')).toBe('Ada');
  });

  it('may be an error: with whenStale: "fail" reads reject from the bound on, until there is proof', async () => {
    const { links, revoker, others } = await startStage();
    const [{ app }] = others;
    // An instance that resumes on an empty journal cannot know what it missed.
    await revoker.permissions.revoke('ada', 'refunds');
    await eventually(async () =>
      expect(await others[0].mayRefund()).toBe(false),
    );
    const cache = app.context
      .get(NearCacheFactory)
      .create<number>('Limit', { maxStaleness: BOUND, whenStale: 'fail' });
    await cache.get('ada', () => 1);
    links.commands.swallow();
    links.subscription.swallow();
    const never = (): never => expect.unreachable();

    await eventually(
      () => expect(cache.get('ada', never)).rejects.toThrow(CacheStaleError),
      patient,
    );
    links.commands.pass();
    links.subscription.pass();

    await eventually(
      async () => expect(await cache.get('ada', () => 2)).toBe(2),
      patient,
    );
  });

  it('is answered with 403 by the guard', async () => {
    const { url } = await startServer();
    const table = new Table();

    @Controller()
    class Refunds {
      @Get('refunds')
      @NeedsRight('refunds')
      list(): string {
        return 'refunds';
      }
    }

    @Module({
      imports: [
        CacheInvalidationModule.forRoot({
          connection: url,
          channel: uniqueChannel(),
          serviceName: 'payments',
        }),
      ],
      controllers: [Refunds],
      providers: [
        Permissions,
        { provide: RightsTable, useValue: table },
        { provide: APP_GUARD, useClass: RightsGuard },
      ],
    })
    class AppModule {}

    const app = await NestFactory.create(AppModule, { logger: false });
    app.use(
      (
        request: { user?: object; headers: Record<string, string> },
        _: unknown,
        next: () => void,
      ) => {
        request.user = { id: request.headers['user'] };
        next();
      },
    );
    await app.listen(0);
    onTestFinished(() => app.close());
    const statusFor = async (user: string): Promise<number> => {
      const { status } = await fetch(`${await app.getUrl()}/refunds`, {
        headers: { user },
      });
      return status;
    };

    expect(await statusFor('ada')).toBe(200);
    expect(await statusFor('bob')).toBe(403);
    await app.get(Permissions).revoke('ada', 'refunds');
    expect(await statusFor('ada')).toBe(403);
  });
});
