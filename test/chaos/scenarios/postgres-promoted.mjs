import { SLOT } from '../postgres/stage.mjs';
import { TABLES } from '../postgres/tables.mjs';
import { until } from '../wait.mjs';
import { inPostgres } from './in-postgres.mjs';

/** Transactions that the standby lacks. */
const LOST = 300;
/** Those of them that caches may not have. */
const FEW = 20;

/**
 * A scenario in which a standby is promoted that lacks the last commits.
 *
 * @param mode of the source
 * @param hasSlot whether the slot is one that standbys have, too (PostgreSQL 17)
 */
export function promoted({ mode, hasSlot = false, ...scenario }) {
  return inPostgres({
    ...scenario,
    postgres: {
      mode,
      widens: true,
      takesBack: true,
      standby: (stage) => stage.startStandby(),
      prepare: hasSlot ? makeFailoverSlot : undefined,
    },
    async fault(stage) {
      const { server, standby } = stage;
      if (hasSlot) await synchronize(stage);
      stage.replication.blackHole();
      await stage.writes(LOST);
      await stage.stopWriting();
      await stage.haveLast();
      await stage.startWriting();
      await stage.writes(FEW);
      await server.kill();
      await standby.sql('select pg_promote()');
      if (hasSlot !== (await hasSlotOf(standby))) {
        throw new Error(`the standby's slot: ${!hasSlot}`);
      }
      await stage.moveTo(standby);
    },
  });
}

async function makeFailoverSlot({ server }) {
  await server.sql(
    `create publication ${SLOT} for table ${Object.values(TABLES).join(', ')}
     with (publish_via_partition_root = true)`,
  );
  await createSlot(server, true);
}

/** Lets the standby copy the slot, and waits until it can be used after a promotion. */
async function synchronize({ server, standby }) {
  // Only now: the process that copies slots rests the longer, the less it has to do, up to
  // half a minute.
  await standby.sql('alter system set sync_replication_slots = on');
  await standby.sql('select pg_reload_conf()');
  await until(
    'the slot of the standby',
    async () => {
      // The slot moves on with such a record, which the server writes each 15 seconds.
      await server.sql('select pg_log_standby_snapshot()');
      const rows = await standby.sql(
        'select 1 from pg_replication_slots where synced and not temporary',
      );
      return rows.length > 0;
    },
    45_000,
  );
}

async function hasSlotOf(server) {
  const rows = await server.sql(
    'select 1 from pg_replication_slots where slot_name = $1',
    [SLOT],
  );
  return rows.length > 0;
}

/** @param isFailover of PostgreSQL 17: standbys have it, too */
export function createSlot(server, isFailover = false) {
  const failover = isFailover ? ', failover => true' : '';
  return server.sql(
    `select pg_create_logical_replication_slot($1, 'pgoutput'${failover})`,
    [SLOT],
  );
}
