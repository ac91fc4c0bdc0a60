import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Registry } from 'prom-client';
import {
  InvalidationHealth,
  InvalidationStats,
  type InvalidationHealthReport,
} from 'nestjs-cache-invalidation';
import type { CacheInvalidationPostgresOptions } from 'nestjs-cache-invalidation/postgres';
import { CacheInvalidationPrometheusModule } from 'nestjs-cache-invalidation/prometheus';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LogRecorder, uniqueChannel, type AppOptions } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy } from '../support/proxy.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import { Scrape } from '../support/scrape.js';
import {
  startHolder,
  startSourceApp,
  uniqueName,
  useServer,
  type SourceApp,
} from './setup.js';
import { startDrain, triggerTable } from './triggers.js';
import { isPostgres } from '../support/postgres.js';

const server = useServer({
  max_wal_senders: '20',
  max_replication_slots: '20',
  ...(isPostgres(13) && { max_slot_wal_keep_size: '1GB' }),
});

/** Heartbeats of Redis that are as quick as those of the tests' sources. */
const QUICK = { heartbeatInterval: 100, heartbeatTimeout: 500 };
/** Milliseconds after which a source counts as blind: of Redis, and of PostgreSQL. */
const BLIND = 2 * (100 + 500) + 2 * 100;
const PATIENT = { timeout: 15_000 };

async function sharing(given: Partial<CacheInvalidationPostgresOptions> = {}) {
  const table = uniqueName();
  const slot = uniqueName();
  const channel = uniqueChannel();
  await server().sql(`create table ${table} (id int primary key)`);
  const options = {
    connection: server().url,
    slot,
    tables: { [`public.${table}`]: 'User' },
    ...given,
  };
  return {
    table,
    source: `postgres:${slot}`,
    insert: (id: number) => server().sql(`insert into ${table} values (${id})`),
    holder: (app: AppOptions = {}) =>
      startHolder(options, { channel, ...QUICK, ...app }),
    start: (app: AppOptions = {}, more: typeof given = {}) =>
      startSourceApp({ ...options, ...more }, { channel, ...QUICK, ...app }),
  };
}

const stalenessOf = ({ subscriber }: SourceApp, source: string): number =>
  subscriber.staleness(source);

const healthOf = ({ context }: SourceApp): InvalidationHealthReport =>
  context.get(InvalidationHealth).check();

const isProven = (app: SourceApp, source: string): Promise<void> =>
  eventually(() => expect(stalenessOf(app, source)).toBeLessThan(BLIND));

const isBlind = (app: SourceApp, source: string): Promise<void> =>
  eventually(() => {
    expect(stalenessOf(app, source)).toBeGreaterThan(BLIND);
    expect(healthOf(app)).toMatchObject({
      status: 'degraded',
      state: 'live',
      reason: expect.stringMatching(
        new RegExp(`^blind to ${source} for [1-9]\\d* s$`),
      ) as string,
    });
  }, PATIENT);

describe('staleness() with PostgreSQL', () => {
  it('is proven by the holder, for all instances', async () => {
    const { holder, start, source, insert } = await sharing();
    const first = await holder();
    const second = await start();
    expect(second.subscriber.staleness()).toBe(Infinity);
    await isProven(first, source);
    await isProven(second, source);
    expect(second.source.status().state).toBe('standby');
    expect(second.subscriber.staleness()).toBeLessThan(BLIND);
    expect(healthOf(second)).toMatchObject({
      status: 'up',
      reason: null,
      regions: {},
      sources: {
        [source]: { state: 'standby', staleness: expect.any(Number) as number },
      },
    });
    await insert(1);
    expect(await second.next()).toEqual(['User:1']);
  });

  it('grows while the server is stopped, and falls when it goes on', async () => {
    const { holder, source } = await sharing({ timeout: 60_000 });
    const logger = new LogRecorder();
    const app = await holder({
      logger,
      maxStaleness: BLIND,
      whenStale: 'widen',
    });
    await isProven(app, source);
    expect(app.subscriber.bypass).toBe(false);
    const resume = await server().pause();
    onTestFinished(resume);
    await isBlind(app, source);
    // The subscription is proven meanwhile; the bound counts both.
    expect(app.subscriber.bypass).toBe(true);
    resume();
    await isProven(app, source);
    expect(app.subscriber.bypass).toBe(false);
    await eventually(() => expect(healthOf(app).status).toBe('up'));
    const lines = logger.lines.join('\n');
    expect(lines).toContain(`Blind to ${source} for`);
    await eventually(() =>
      expect(logger.lines.join('\n')).toContain(`${source} is heard again`),
    );
    // The bound was exceeded: everything was evicted, once.
    expect(app.said).toContain('*');
  });

  it('does not stop an application that starts without the server', async () => {
    const proxy = await startProxy(server().port);
    onTestFinished(() => proxy.close());
    proxy.swallow();
    const { start, source, holder } = await sharing({ timeout: 400 });
    const connection = server().url.replace(
      `:${server().port}`,
      `:${proxy.port}`,
    );
    const app = await start({}, { connection });
    expect(healthOf(app)).toMatchObject({
      status: 'up',
      sources: { [source]: { state: 'away', staleness: null } },
    });
    await eventually(
      () =>
        expect(healthOf(app)).toMatchObject({
          status: 'degraded',
          reason: `blind to ${source} since the start`,
        }),
      PATIENT,
    );
    expect(app.source.status().holderSeen).toBeGreaterThan(1_000);
    // Another one that reaches the server proves it for this one, too.
    await holder();
    await isProven(app, source);
    expect(app.source.status().state).toBe('away');
  });

  it('is proven while there are always changes', async () => {
    const { holder, source, insert } = await sharing();
    const app = await holder();
    await isProven(app, source);
    let id = 0;
    let worst = 0;
    const end = performance.now() + 2_000;
    while (performance.now() < end) {
      await Promise.all([insert(++id), insert(++id), insert(++id)]);
      worst = Math.max(worst, stalenessOf(app, source));
    }
    expect(worst).toBeLessThan(BLIND);
  });

  it('is proven while tables change that are not mapped, also without a flush', async () => {
    const { holder, source } = await sharing();
    const app = await holder();
    await isProven(app, source);
    const other = uniqueName();
    await server().sql(`create table ${other} (id int)`);
    let worst = 0;
    const end = performance.now() + 2_000;
    while (performance.now() < end) {
      await server().sql(
        `set synchronous_commit = off; insert into ${other} values (1)`,
      );
      worst = Math.max(worst, stalenessOf(app, source));
    }
    expect(worst).toBeLessThan(BLIND);
  });

  it('counts what is visible before the log has it', async () => {
    const { holder, source, table } = await sharing();
    const app = await holder();
    await isProven(app, source);
    const [{ pid } = {}] = await server().sql(
      `select pid from pg_stat_activity where backend_type = 'walwriter'`,
    );
    const go = () => process.kill(pid as number, 'SIGCONT');
    onTestFinished(() => void go());
    process.kill(pid as number, 'SIGSTOP');
    await server().sql(
      `set synchronous_commit = off; insert into ${table} values (1)`,
    );
    await isBlind(app, source);
    expect(app.said).toEqual(['user:*']);
    expect(app.source.status().lagBytes).toBeGreaterThan(0);
    go();
    expect(await app.next()).toEqual(['User:1']);
    await isProven(app, source);
  });

  it('counts what is committed and not announced', async () => {
    const { holder, source, insert } = await sharing();
    await server().sql(
      `alter system set synchronous_standby_names = 'missing'`,
    );
    onTestFinished(async () => {
      await server().sql('alter system reset synchronous_standby_names');
      await server().sql('select pg_reload_conf()');
    });
    const app = await holder();
    await isProven(app, source);
    await server().sql('select pg_reload_conf()');
    await eventually(async () => {
      const [row] = await server().sql('show synchronous_standby_names');
      expect(row).toEqual({ synchronous_standby_names: 'missing' });
    });
    const waiting = insert(1);
    await eventually(() =>
      expect(app.source.status().lagMs).toBeGreaterThan(1_000),
    );
    expect(stalenessOf(app, source)).toBeGreaterThan(900);
    await server().sql('alter system reset synchronous_standby_names');
    await server().sql('select pg_reload_conf()');
    await waiting;
    await eventually(() =>
      expect(app.source.status()).toMatchObject({ lagMs: 0, lagBytes: 0 }),
    );
    await isProven(app, source);
    expect(app.said).toContain('User:1');
  });

  it('is not counted by an application without the module, nor by a publisher', async () => {
    const { holder, start, source } = await sharing();
    await holder();
    const publisher = await start({ role: 'publisher', quiet: true });
    expect(healthOf(publisher).sources[source]).toMatchObject({
      staleness: null,
    });
    await eventually(() =>
      expect(publisher.subscriber.staleness()).toBeLessThan(BLIND),
    );
    const subscriber = await start({ role: 'subscriber' });
    expect(subscriber.source.status()).toMatchObject({
      state: 'off',
      holderSeen: null,
    });
    await isProven(subscriber, source);
  });
});

describe('a holder', () => {
  it.runIf(isPostgres(13))(
    'is seen by the others, until it is gone',
    async () => {
      const { start, source } = await sharing({ timeout: 1_500 });
      const proxy = await startProxy(server().port);
      onTestFinished(() => proxy.close());
      const first = await start(
        {},
        {
          connection: server().url.replace(
            `:${server().port}`,
            `:${proxy.port}`,
          ),
        },
      );
      await eventually(() =>
        expect(first.source.status().state).toBe('holder'),
      );
      const second = await start();
      await eventually(() =>
        expect(second.source.status()).toMatchObject({
          state: 'standby',
          retainedBytes: expect.any(Number) as number,
          spareBytes: expect.any(Number) as number,
        }),
      );
      await isProven(second, source);
      expect(second.source.status().holderSeen).toBeLessThan(1_000);
      // Cut off and hung, as one that is frozen: the server lets go of it.
      proxy.swallow();
      proxy.cut();
      await eventually(
        () => expect(second.source.status().state).toBe('holder'),
        PATIENT,
      );
      await isProven(second, source);
      await second.close();
      expect(second.source.status().holderSeen).toBeNull();
      await eventually(
        () => expect(first.source.status().holderSeen).toBeGreaterThan(1_000),
        PATIENT,
      );
      await isBlind(first, source);
      await start();
      await isProven(first, source);
    },
  );

  it.runIf(isPostgres(13))(
    'that cannot begin leaves the slot, whose size is known',
    async () => {
      const { holder, start, table, source } = await sharing();
      const first = await holder();
      await first.close();
      await server().sql(`drop table ${table}`);
      const second = await start();
      await eventually(() =>
        expect(second.source.status()).toMatchObject({
          state: 'away',
          fault: { code: 'CACHE_INVALIDATION_POSTGRES' },
        }),
      );
      const { retainedBytes: before } = second.source.status();
      expect(before).toBeGreaterThanOrEqual(0);
      await server().sql('create table if not exists ballast (content text)');
      await server().sql(
        `insert into ballast select repeat('x', 1000) from generate_series(1, 2000)`,
      );
      await eventually(() =>
        expect(second.source.status().retainedBytes).toBeGreaterThan(
          before! + 1_000_000,
        ),
      );
      expect(second.source.status().spareBytes).toBeGreaterThan(0);
      await eventually(() =>
        expect(second.source.status().holderSeen).toBeGreaterThan(500),
      );
      expect(second.subscriber.staleness(source)).toBeGreaterThan(0);
    },
  );

  itOnRedisServer('without Redis still looks at the slot', async () => {
    const redis = await startServer();
    const { holder } = await sharing();
    const app = await holder({ connection: redis.url });
    await redis.stop();
    await eventually(() => expect(app.source.status().state).toBe('away'));
    const before = app.source.status().retainedBytes!;
    await server().sql('create table if not exists ballast (content text)');
    await server().sql(
      `insert into ballast select repeat('x', 1000) from generate_series(1, 2000)`,
    );
    await eventually(
      () =>
        expect(app.source.status().retainedBytes).toBeGreaterThan(
          before + 1_000_000,
        ),
      PATIENT,
    );
  });
});

describe('a source in trigger mode', () => {
  async function draining(app: AppOptions = {}) {
    const { options, sql, outbox } = await triggerTable(server());
    const started = await startDrain(
      { ...options, heartbeat: 100, timeout: 500 },
      { ...QUICK, ...app },
    );
    const source = `postgres-triggers:${outbox}`;
    await isProven(started, source);
    return { app: started, sql, source };
  }

  it('is proven while there are always changes, and others hold snapshots', async () => {
    const { app, sql, source } = await draining();
    const long = await server().connect();
    await long.query('begin; select txid_current()');
    let id = 0;
    let worst = 0;
    const end = performance.now() + 2_000;
    while (performance.now() < end) {
      await sql(`insert into TABLE values (${++id}), (${++id})`);
      worst = Math.max(worst, stalenessOf(app, source));
    }
    expect(worst).toBeLessThan(BLIND);
    expect(app.source.status()).toMatchObject({
      state: 'holder',
      lagBytes: null,
      retainedBytes: null,
    });
    expect(app.source.status().holderSeen).toBeLessThan(1_000);
  });

  it('is not proven while a trigger is disabled', async () => {
    const { app, sql, source } = await draining();
    await sql('alter table TABLE disable trigger user');
    await isBlind(app, source);
    expect(app.source.status().state).toBe('away');
    await sql('alter table TABLE enable trigger user');
    await isProven(app, source);
  });

  itOnRedisServer('counts the rows that wait, and their age', async () => {
    const redis = await startServer();
    const { app, sql, source } = await draining({ connection: redis.url });
    expect(app.source.status()).toMatchObject({ waiting: 0, lagMs: 0 });
    redis.pause();
    await eventually(() => expect(app.source.status().state).toBe('away'));
    await sql('insert into TABLE values (1)');
    await sql('insert into TABLE values (2)');
    await eventually(() => {
      const { waiting, lagMs } = app.source.status();
      expect(waiting).toBe(2);
      expect(lagMs).toBeGreaterThan(300);
    }, PATIENT);
    expect(stalenessOf(app, source)).toBeGreaterThan(300);
    redis.resume();
    await eventually(
      () => expect(app.source.status()).toMatchObject({ waiting: 0, lagMs: 0 }),
      PATIENT,
    );
    await isProven(app, source);
  });
});

describe('a source', () => {
  it.runIf(isPostgres(13))(
    'is in the metrics and in the statistics',
    async () => {
      const { start, source, insert } = await sharing();
      const registry = new Registry();
      const app = await start({
        serviceName: 'users',
        imports: [CacheInvalidationPrometheusModule.forRoot({ registry })],
      });
      await eventually(() => expect(app.said).toEqual(['user:*']));
      await insert(1);
      await isProven(app, source);
      await eventually(() => expect(app.source.status().transactions).toBe(1));
      const { lines } = new Scrape(await registry.metrics());
      const valueOf = (
        name: string,
        labels: Record<string, string> = {},
      ): number | undefined =>
        lines.find(
          (line) =>
            line.name === `cache_invalidation_source_${name}` &&
            line.labels['source'] === source &&
            Object.entries(labels).every(
              ([key, to]) => line.labels[key] === to,
            ),
        )?.value;
      expect(valueOf('state', { state: 'holder' })).toBe(1);
      expect(valueOf('state', { state: 'away' })).toBe(0);
      expect(valueOf('staleness_seconds')).toBeLessThan(BLIND / 1_000);
      expect(valueOf('holder_seen_seconds')).toBeLessThan(1);
      expect(valueOf('lag_seconds')).toBeLessThan(1);
      expect(valueOf('backlog_bytes')).toBeGreaterThanOrEqual(0);
      expect(valueOf('retained_bytes')).toBeGreaterThanOrEqual(0);
      expect(valueOf('spare_bytes')).toBeGreaterThan(0);
      expect(valueOf('waiting')).toBeUndefined();
      expect(valueOf('transactions_total')).toBe(1);
      expect(valueOf('rows_total')).toBe(1);
      expect(valueOf('widened_total', { cause: 'first-start' })).toBe(1);
      expect(valueOf('widened_total', { cause: 'slot' })).toBe(0);
      expect(app.context.get(InvalidationStats).snapshot().sources).toEqual({
        [source]: expect.objectContaining({
          state: 'holder',
          transactions: 1,
          rows: 1,
          widened: { 'first-start': 1 },
        }) as object,
      });
    },
  );

  it('tells its states and its widenings on diagnostics channels', async () => {
    const events: unknown[] = [];
    const hear = (name: 'source-state' | 'source-widened') => {
      const listener = (event: unknown): void => {
        events.push(event);
      };
      subscribe(`nestjs-cache-invalidation:${name}`, listener);
      onTestFinished(() => {
        unsubscribe(`nestjs-cache-invalidation:${name}`, listener);
      });
    };
    hear('source-state');
    hear('source-widened');
    const { holder, source } = await sharing();
    const app = await holder({ serviceName: 'users' });
    await app.close();
    const sender = {
      serviceName: 'users',
      origin: expect.any(String) as string,
      source,
    };
    expect(events).toEqual([
      { ...sender, state: 'away', reason: null },
      { ...sender, state: 'holder', reason: null },
      { ...sender, cause: 'first-start' },
      { ...sender, state: 'off', reason: null },
    ]);
  });
});
