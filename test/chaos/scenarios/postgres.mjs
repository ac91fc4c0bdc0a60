import { SLOT } from '../postgres/stage.mjs';
import { until } from '../wait.mjs';
import { inPostgres } from './in-postgres.mjs';

const LOST = 300;

export const postgres = [
  inPostgres({
    name: 'postgres-holder-killed',
    title: 'PostgreSQL: the holder killed 3 times',
    async fault(stage) {
      for (let i = 0; i < 3; i++) {
        await stage.writes(50 + Math.floor(stage.random() * 100));
        const holder = await stage.held();
        await holder.kill();
        await stage.launch({ name: `${holder.name}'` });
      }
    },
  }),
  inPostgres({
    name: 'postgres-all-killed',
    title: 'PostgreSQL: all instances killed and started again',
    async fault(stage) {
      await stage.writes(50 + Math.floor(stage.random() * 100));
      await Promise.all(stage.running.map((each) => each.kill()));
      await stage.writes(LOST);
    },
    async heal(stage) {
      for (const name of ['four', 'five', 'six']) await stage.launch({ name });
    },
  }),
  inPostgres({
    name: 'postgres-slot-dropped',
    title:
      'PostgreSQL: the slot dropped, in half of the runs made anew by hand',
    postgres: { widens: true },
    async fault(stage) {
      await severed(stage);
      await stage.server.sql('select pg_drop_replication_slot($1)', [SLOT]);
      await stage.writes(LOST);
      if (stage.random() < 0.5) await createSlot(stage.server);
    },
    heal: healed,
  }),
];

/** Cuts all sources off, and waits until the server has noticed. */
async function severed({ sourceLinks, server }) {
  for (const link of sourceLinks) link.sever();
  await until('the slot to be free', async () => {
    const rows = await server.sql(
      'select 1 from pg_replication_slots where slot_name = $1 and not active',
      [SLOT],
    );
    return rows.length > 0;
  });
}

function healed({ sourceLinks }) {
  for (const link of sourceLinks) link.heal();
}

/** @param isFailover of PostgreSQL 17: standbys have it, too */
function createSlot(server, isFailover = false) {
  const failover = isFailover ? ', failover => true' : '';
  return server.sql(
    `select pg_create_logical_replication_slot($1, 'pgoutput'${failover})`,
    [SLOT],
  );
}
