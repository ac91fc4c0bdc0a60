import { plays } from '../postgres/plays.mjs';
import { inPostgres, LATE_MS } from './in-postgres.mjs';

const LATE_LONG_MS = 800;

/**
 * One kind of transaction alone, by exact keys, and each commit in the log before it is
 * visible: the invalidation of a whole type would hide a miss.
 */
export const postgresAlone = [
  alone('insert', 'INSERT alone', { has: () => false }),
  alone('update', 'UPDATE alone', { has: () => true }),
  alone('delete', 'DELETE alone', { has: () => true }),
  alone('move', 'changes of the primary key alone'),
  alone('large', 'transactions of 600 rows alone', {
    has: () => true,
    perSecond: 20,
    count: 15,
  }),
  alone('savepoints', 'savepoints and rollbacks alone'),
  alone('prepared', 'two-phase commits alone'),
  inPostgres({
    name: 'postgres-late-commits',
    title: `PostgreSQL: commits visible only ${LATE_LONG_MS} ms after they are in the log, announced twice`,
    postgres: {
      late: LATE_LONG_MS,
      source: { visibility: 200 },
      chooses: () => plays.update,
      has: () => true,
      isExact: true,
      isAlone: true,
      count: 30,
    },
    fault: played,
  }),
];

function alone(name, title, { count = 200, ...postgres } = {}) {
  return inPostgres({
    name: `postgres-alone-${name}`,
    title: `PostgreSQL: ${title}`,
    postgres: {
      late: LATE_MS,
      isExact: true,
      isAlone: true,
      chooses: () => plays[name],
      count,
      ...postgres,
    },
    fault: played,
  });
}

function played(stage) {
  return stage.writes(stage.writesBefore);
}
