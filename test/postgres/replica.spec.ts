/** Near caches that load from a standby of a real PostgreSQL. */
import pg from 'pg';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  it,
  onTestFinished,
  vi,
} from 'vitest';
import { NearCache, resolveNearCache } from '../../lib/cache/index.js';
import { entity, type CommitPosition } from '../../lib/message/index.js';
import { postgresPosition, postgresReplica } from '../../lib/postgres/index.js';
import {
  ReplicaMarks,
  Replicas,
  withReadPosition,
  type Replica,
} from '../../lib/replica/index.js';
import { HandSource } from '../cache/setup.js';
import { eventually } from '../support/eventually.js';
import { startPostgres, type PostgresServer } from '../support/postgres.js';

const LAG_MS = 300;

let primary: PostgresServer;
let standby: PostgresServer;
beforeAll(async () => {
  primary = await startPostgres();
  standby = await primary.standby({
    recovery_min_apply_delay: `${LAG_MS}ms`,
  });
  await primary.sql('create table users (id int primary key, name int)');
  await primary.sql(
    'insert into users select n, 0 from generate_series(1, 50) n',
  );
  await eventually(async () => {
    const rows = await standby.sql('select from users');
    if (rows.length < 50) throw new Error('rows are missing');
  });
}, 60_000);
afterAll(async () => {
  await standby.stop();
  await primary.stop();
});

function poolOf({ url }: PostgresServer): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on('error', () => undefined);
  onTestFinished(() => pool.end());
  return pool;
}

const NAME = 'select name from users where id = $1';

function setUp(replicaOf: (read: pg.Pool, write: pg.Pool) => Replica | null) {
  const [read, write] = [poolOf(standby), poolOf(primary)];
  const replica = replicaOf(read, write);
  const replicas = new Replicas({ report: vi.fn(), log: vi.fn() } as never);
  onTestFinished(() => replicas.stop());
  const source = new HandSource();
  const cache = new NearCache<number>(
    'User',
    resolveNearCache<number>({ replica: replica ?? undefined }),
    source,
    null,
    undefined,
    null,
    null,
    undefined,
    replica && new ReplicaMarks(replicas.of(replica), 'user:', false),
  );
  const nameOn = async (pool: pg.Pool, id: string): Promise<number> =>
    (await pool.query(NAME, [id])).rows[0].name;
  const get = (id: string) => cache.get(id, () => nameOn(read, id));
  /** Changes a row, and says so. */
  const write1 = async (id: string, name: number, says: boolean) => {
    await write.query('update users set name = $1 where id = $2', [name, id]);
    const at: CommitPosition | null = says
      ? await postgresPosition(write)()
      : null;
    cache.apply(source.hear(entity('User', id), null, { at }));
  };
  return { cache, get, write: write1, write_: write, read, nameOn };
}

/** Rows that were kept although they are older than what was announced. */
async function keptOld(
  replicaOf: (read: pg.Pool, write: pg.Pool) => Replica | null,
  says: boolean,
): Promise<{ old: number; kept: number }> {
  const { cache, get, write, write_: pool, nameOn } = setUp(replicaOf);
  const ids = Array.from({ length: 50 }, (_, n) => String(n + 1));
  const value = Math.floor(Math.random() * 1e9);
  for (const id of ids) {
    await write(id, value + Number(id), says);
    await get(id);
  }
  const old = ids.filter((id) => {
    const kept = cache.peek(id);
    return kept !== undefined && kept !== value + Number(id);
  }).length;
  if (replicaOf(pool, pool) === null) return { old, kept: 0 };
  // Once the standby is there, everything is kept again, and right.
  await vi.waitFor(async () => {
    for (const id of ids) await get(id);
    for (const id of ids) expect(cache.peek(id)).toBeDefined();
  }, 15_000);
  for (const id of ids) {
    expect(cache.peek(id)).toBe(await nameOn(pool, id));
  }
  return { old, kept: ids.length };
}

describe('A near cache that loads from a standby', () => {
  it('keeps old rows without the option replica', async () => {
    const { old } = await keptOld(() => null, true);

    expect(old).toBeGreaterThan(40);
  });

  it.each([
    ['with positions', true],
    ['without', false],
  ])('keeps none with it, for invalidations %s', async (_, says) => {
    const result = await keptOld(
      (read, write) => postgresReplica(read, { primary: write }),
      says,
    );

    expect(result).toEqual({ old: 0, kept: 50 });
  });

  it('keeps none that it loads right after its start', async () => {
    const {
      get,
      cache,
      write_: write,
    } = setUp((read, pool) => postgresReplica(read, { primary: pool }));
    await write.query('update users set name = 77 where id = 1');

    await get('1');

    expect(cache.peek('1')).toBeUndefined();
    await vi.waitFor(async () => {
      await get('1');
      expect(cache.peek('1')).toBe(77);
    }, 10_000);
  });
});

describe('A request with the position of a commit', () => {
  it('reads it from a standby that lags, also where no message named the row', async () => {
    const {
      get,
      write_: write,
      cache,
    } = setUp((read, pool) => postgresReplica(read, { primary: pool }));
    // The start has to be passed first: what it marks is not kept.
    await vi.waitFor(async () => {
      await get('40');
      expect(cache.peek('40')).toBeDefined();
    }, 15_000);
    const position = postgresPosition(write);
    // Without the position the answer is old, which proves that the test can fail.
    await write.query('update users set name = 1041 where id = 41');
    expect(await get('41')).not.toBe(1_041);
    for (let id = 42; id <= 48; id++) {
      const name = 1_000 + id;
      await write.query('update users set name = $1 where id = $2', [name, id]);
      const at = await position();
      const until = performance.now() + 10_000;
      const read = await withReadPosition({ at, until }, () => get(String(id)));

      expect(read).toBe(name);
      expect(cache.peek(String(id))).toBe(name);
    }
  }, 60_000);
});

describe('postgresReplica()', () => {
  it('passes the position of a commit only with its row, also where nothing follows', async () => {
    const [read, write] = [poolOf(standby), poolOf(primary)];
    const replica = postgresReplica(read, { primary: write });
    for (let name = 100; name < 110; name++) {
      await write.query('update users set name = $1 where id = 2', [name]);
      const { pg: at } = await postgresPosition(write)();
      await vi.waitFor(async () => {
        expect(replica.isBefore(at!, await replica.applied())).toBe(true);
      }, 20_000);
      expect((await read.query(NAME, ['2'])).rows).toEqual([{ name }]);
    }
  }, 60_000);

  it('answers "everything" of a primary', async () => {
    expect(await postgresReplica(poolOf(primary)).applied()).toBe('everything');
  });

  it('refuses to ask a standby for the position of the primary', async () => {
    const replica = postgresReplica(poolOf(standby), {
      primary: poolOf(standby),
    });

    await expect(replica.current!()).rejects.toThrow('recovery is in progress');
  });

  it('throws for what is no position', () => {
    const { isBefore } = postgresReplica(poolOf(standby));

    expect(isBefore('0/9', '0/A')).toBe(true);
    expect(isBefore('1/0', '0/FFFFFFFF')).toBe(false);
    for (const text of ['', '0', '0/', '0/1234567890', 'everything']) {
      expect(() => isBefore(text, '0/1')).toThrow('no position');
    }
  });

  it('tells of new connections', async () => {
    const listener = vi.fn();
    const read = poolOf(standby);
    const replica = postgresReplica(read);
    const unlisten = replica.onConnect!(listener);

    await replica.applied();

    expect(listener).toHaveBeenCalledOnce();
    unlisten();
    expect(read.listenerCount('connect')).toBe(0);
  });

  it('notices that two servers take turns', async () => {
    const answers = ['one', 'two', 'one', 'one', 'two'];
    let asked = 0;
    const replica = postgresReplica({
      query: async () => ({
        rows: [{ is_replica: true, replayed: '0/9', server: answers[asked++] }],
      }),
    });

    expect(await replica.applied()).toBe('0/9');
    expect(await replica.applied()).toBe('0/9');
    for (let more = 0; more < 3; more++) {
      await expect(replica.applied()).rejects.toThrow(
        'Several servers answer by turns',
      );
    }
    // One that answers for long is alone.
    for (let more = 0; more < 200; more++)
      await replica.applied().catch(() => 0);
    expect(await replica.applied()).toBe('0/9');
  });
});
