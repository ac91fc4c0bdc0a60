/**
 * A process that hears of changes in PostgreSQL and says so in Redis:
 * `node --expose-gc postgres.process.mjs wal|triggers|notify|stream REDIS_URL DATABASE_URL`.
 * The last two are raw node-postgres and ioredis.
 */
import pg from 'pg';
import { startApp, startRaw } from './apps.mjs';
import { RAW_CHANGES, sourceOptions } from './postgres.tables.mjs';
import { connect } from './postgres-server.mjs';

const SAMPLE_EVERY_MS = 5;

const KINDS = { wal: source, triggers: source, notify, stream };
const [kind, redisUrl, databaseUrl] = process.argv.slice(2);
await KINDS[kind]();

let samples = null;
process.on('message', (what) => {
  if (what === 'watch') watch();
  else process.send(peak());
});
process.on('disconnect', () => process.exit());
process.send('ready');

async function source() {
  const { CacheInvalidationPostgresModule, PostgresSource } =
    await import('nestjs-cache-invalidation/postgres');
  const { app } = await startApp(
    redisUrl,
    'postgres',
    [],
    [
      CacheInvalidationPostgresModule.forRoot({
        connection: databaseUrl,
        ...sourceOptions(kind),
      }),
    ],
  );
  const state = () => app.get(PostgresSource).status().state;
  while (state() !== 'holder') {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A notification of each transaction, passed on. */
async function notify() {
  const [redis, client] = [
    await startRaw(redisUrl),
    await connect(databaseUrl),
  ];
  client.on('notification', ({ payload }) => {
    void redis.publish(RAW_CHANGES, payload);
  });
  await client.query('listen bench_notify');
}

/**
 * The log, as it is decoded: its transactions may not be visible yet, nothing is
 * acknowledged, and nothing is kept if Redis is away.
 */
async function stream() {
  const redis = await startRaw(redisUrl);
  const setup = await connect(databaseUrl);
  await setup.query(
    "select pg_create_logical_replication_slot('bench_stream', 'pgoutput')",
  );
  await setup.query('create publication bench_stream for table bench_stream');
  await setup.end();
  const client = new pg.Client({
    connectionString: databaseUrl,
    replication: 'database',
    options: '-c wal_sender_timeout=0',
  });
  await client.connect();
  // Those of node-postgres expect a COPY.
  client.connection.removeAllListeners('copyData');
  client.connection.on('copyData', ({ chunk }) => {
    const id = updatedId(chunk);
    if (id !== null) void redis.publish(RAW_CHANGES, id);
  });
  client.connection.query(
    `START_REPLICATION SLOT bench_stream LOGICAL 0/0 (proto_version '1', publication_names 'bench_stream')`,
  );
}

/** The first column of an updated row, in a frame of the log; `null` for other frames. */
function updatedId(frame) {
  // 'w', three numbers of 64 bits, 'U', the table, 'N', the count of columns, 't', a length.
  if (frame[0] !== 0x77 || frame[25] !== 0x55) return null;
  const length = frame.readInt32BE(34);
  return frame.toString('utf8', 38, 38 + length);
}

/** Takes the memory of the idle process, and samples it from then on. */
function watch() {
  globalThis.gc();
  const idle = process.memoryUsage();
  let [heap, rss] = [0, 0];
  const timer = setInterval(() => {
    const now = process.memoryUsage();
    heap = Math.max(heap, now.heapUsed - idle.heapUsed);
    rss = Math.max(rss, now.rss - idle.rss);
  }, SAMPLE_EVERY_MS);
  samples = {
    timer,
    peak: () => ({ heap: heap / 2 ** 20, rss: rss / 2 ** 20 }),
  };
  process.send('watching');
}

/** The most above the idle process, in MiB. */
function peak() {
  clearInterval(samples.timer);
  return samples.peak();
}
