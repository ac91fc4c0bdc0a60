import { visible } from '../visible.js';
import { fail, ok, unknown, warn, type Finding } from './finding.js';
import type { PostgresServerView } from './postgres-server-view.js';

const OLDEST = 12;
const NEWEST = 18;

/** One check says why the server is not reached, not each of them. @internal */
export async function reached(
  view: PostgresServerView,
  run: () => Promise<Finding>,
): Promise<Finding> {
  try {
    await view.server();
  } catch {
    return unknown('PostgreSQL cannot be queried');
  }
  return run();
}

/** Judges whether the server is one that a source can use. @internal */
export async function checkServer(view: PostgresServerView): Promise<Finding> {
  try {
    const { version, name, is_standby, user } = await view.server();
    const message = `${view.link.where}, PostgreSQL ${visible(name, 40)}, user ${visible(user, 70)}`;
    const major = Math.floor(version / 10_000);
    if (major < OLDEST) {
      return fail(message, `Upgrade to PostgreSQL ${OLDEST} or newer.`);
    }
    if (is_standby) {
      return fail(
        `${message}: a standby`,
        'Give the address of the primary: readers must load from it, too.',
      );
    }
    return major > NEWEST
      ? warn(message, `Tested up to PostgreSQL ${NEWEST}.`)
      : ok(message);
  } catch (error) {
    return { status: 'fail', message: (error as Error).message };
  }
}
