import { entity } from 'nestjs-cache-invalidation';

/** The channel of raw ioredis. */
export const RAW_CHANGES = 'bench:postgres:raw';

/** Rows that are updated one by one, in a table for each contestant. */
export const ROWS = 1_000;
export const UPDATED = ['notify', 'stream', 'wal', 'triggers', 'plain'];

const TABLES = {
  wal: {
    'public.bench_wal': 'wal',
    'public.bench_rows': {
      map: ({ id }) => entity('row', String(id)),
      types: ['row'],
    },
    'public.bench_ends': 'end',
  },
  triggers: { 'public.bench_triggers': 'triggers' },
};

/** The options of a source, but for its connection. */
export function sourceOptions(mode) {
  return {
    mode,
    tables: TABLES[mode],
    slot: 'bench_wal',
    publication: 'bench_wal',
    outbox: 'public.bench_outbox',
  };
}

export const SCHEMA = [
  ...UPDATED.map(
    (name) => `create table bench_${name} (id int primary key, n int not null);
      insert into bench_${name} select i, 0 from generate_series(0, ${ROWS - 1}) i`,
  ),
  'create table bench_rows (id bigint generated always as identity primary key, n int not null)',
  'create table bench_ends (id int primary key)',
].join(';');
