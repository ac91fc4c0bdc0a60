import { Client } from 'pg';
import { setTimeout as delay } from 'node:timers/promises';
import { SLOT } from '../user-service/users.source.js';

const PATIENCE_MS = 600;
const PAUSE_MS = 20;

/**
 * Drops the replication slot of user-service, if there is one: a slot that nobody reads
 * keeps the log of the server until its disk is full. A service that stops leaves its slot,
 * to hear later what it has missed; the demo does not come back.
 *
 * @returns whether none is left
 */
export async function dropSlot(url: string): Promise<boolean> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: PATIENCE_MS,
    query_timeout: PATIENCE_MS,
  });
  client.on('error', () => undefined);
  const deadline = performance.now() + PATIENCE_MS;
  try {
    await client.connect();
    // The server may not know yet that its reader has gone.
    while (!(await isDropped(client))) {
      if (performance.now() > deadline) return false;
      await delay(PAUSE_MS);
    }
    return true;
  } catch {
    return false;
  } finally {
    void client.end().catch(() => undefined);
  }
}

async function isDropped(client: Client): Promise<boolean> {
  await client.query(
    `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
     WHERE slot_name = $1 AND NOT active AND database = current_database()`,
    [SLOT],
  );
  const { rowCount } = await client.query(
    'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()',
    [SLOT],
  );
  return rowCount === 0;
}
