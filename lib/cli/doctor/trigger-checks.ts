import { setTimeout as delay } from 'node:timers/promises';
import { relayKey } from '../../transport/index.js';
import { showDuration } from '../duration.js';
import type { RedisLink } from '../redis-link.js';
import { visible } from '../visible.js';
import {
  fail,
  ok,
  together,
  unknown,
  warn,
  type Check,
  type Finding,
} from './finding.js';
import { checkServer, reached } from './postgres-server-check.js';
import { MOST_ROWS, type Backlog, type TriggerView } from './trigger-view.js';

/** Milliseconds between two looks at the outbox. */
const LOOK_MS = 1_000;
/** Milliseconds that a row may wait. */
const LONGEST_WAIT_MS = 5_000;

const RENEW =
  'Run as the owner of the tables what postgres sql --mode triggers prints for the same options.';

/** Checks a source of invalidations by triggers. @internal */
export function triggerChecks(view: TriggerView): Check[] {
  return [
    { name: 'postgres', run: () => checkServer(view) },
    {
      name: 'pg triggers',
      run: () => reached(view, () => checkTriggers(view)),
    },
    { name: 'pg outbox', run: () => reached(view, () => checkOutbox(view)) },
    { name: 'pg unseen', run: () => reached(view, () => checkUnseen(view)) },
    { name: 'pg record', run: (redis) => checkRecord(view, redis) },
  ];
}

async function checkTriggers(view: TriggerView): Promise<Finding> {
  if (view.names.tables.length === 0) {
    return unknown('give --tables to check them');
  }
  const { parts } = await view.triggers();
  const findings = parts.map(({ table, part, problem }) => {
    if (part === null) {
      return fail(
        `there is no table ${visible(table)}`,
        'Create it, or correct its name in the option tables.',
      );
    }
    return problem === null
      ? ok(visible(part))
      : fail(
          `changes of ${visible(part)} are not seen: ${visible(problem)}`,
          RENEW,
        );
  });
  const [first] = findings.filter(({ status }) => status !== 'ok');
  const details = parts.map(({ table, part, problem }) => ({
    table: part ?? table,
    triggers: part === null ? 'no such table' : (problem ?? 'right'),
  }));
  const good =
    parts.length === 1
      ? '1 table has its triggers'
      : `${parts.length} tables and partitions have their triggers`;
  // Each has the same advice, so the first says it.
  return { ...(first ?? together(findings, good)), details };
}

async function checkOutbox(view: TriggerView): Promise<Finding> {
  const { outbox } = view.names;
  const { is_there, lacking, is_hidden, is_waking } = await view.outbox();
  if (!is_there) {
    return fail(`there is none of the name ${visible(outbox)}`, RENEW);
  }
  const { user } = await view.server();
  if (lacking.length > 0) {
    return fail(
      `user ${visible(user, 70)} may not ${lacking.join(', ')} its rows`,
      `GRANT SELECT, INSERT, DELETE ON ${outbox} TO …; or give --user to postgres sql.`,
    );
  }
  if (is_hidden) {
    return fail(
      `row security may hide its rows from user ${visible(user, 70)}`,
      `ALTER TABLE ${outbox} DISABLE ROW LEVEL SECURITY, or ALTER ROLE … BYPASSRLS.`,
    );
  }
  const before = await view.backlog();
  if (before.rows === 0) {
    return ok(`${outbox} is empty${is_waking ? ', and notifies' : ''}`);
  }
  await delay(LOOK_MS);
  return judge(outbox, before, await view.backlog());
}

function judge(outbox: string, before: Backlog, after: Backlog): Finding {
  const { rows, oldest, age } = after;
  if (oldest === null || age === null) return ok(`${outbox} was just emptied`);
  const many = rows > MOST_ROWS ? `over ${MOST_ROWS}` : String(rows);
  const waiting = rows === 1 ? '1 row waits' : `${many} rows wait`;
  const message = `${waiting} in ${outbox}, the oldest for ${showDuration(age)}`;
  const growth =
    rows > before.rows
      ? `, and it grows: ${rows - before.rows} more in 1 s`
      : '';
  if (oldest === before.oldest && age > LONGEST_WAIT_MS) {
    return warn(
      `${message}; nobody empties it${growth}`,
      'Start an instance, and see PostgresSource.status() there; if the source is not used any more: npx nestjs-cache-invalidation postgres drop --mode triggers.',
    );
  }
  return age > LONGEST_WAIT_MS && growth !== ''
    ? warn(
        `${message}${growth}`,
        'More is written than is announced: a smaller bulk makes coarser rows, and fewer of them.',
      )
    : ok(message);
}

async function checkUnseen(view: TriggerView): Promise<Finding> {
  const { own, roles, subscribed } = await view.unseen();
  const findings = [
    ...(own === 'replica'
      ? [
          warn(
            'session_replication_role is replica on this connection: no change of sessions like it is seen',
            'Take it out of the settings of the server, the database and the role.',
          ),
        ]
      : []),
    ...(roles.length > 0
      ? [
          warn(
            `changes by ${roles.map((role) => visible(role)).join(', ')} are not seen: a setting makes session_replication_role replica`,
            'ALTER ROLE … RESET session_replication_role.',
          ),
        ]
      : []),
    ...(subscribed.length > 0
      ? [
          warn(
            `what a subscription writes to ${subscribed.map((table) => visible(table)).join(', ')} is not seen`,
            'Make the publisher of the subscription a source, or use the log.',
          ),
        ]
      : []),
  ];
  return together(
    findings,
    'no setting hides changes; sessions that set session_replication_role = replica do, and disabled triggers',
  );
}

async function checkRecord(
  view: TriggerView,
  redis: RedisLink,
): Promise<Finding> {
  const key = relayKey(
    redis.target.channel,
    `postgres-triggers:${view.names.outbox}`,
  );
  const [record = null] = await redis.within(
    'HMGET',
    redis.client.hmget(key, 'offset'),
  );
  if (record === null) {
    return warn(
      'none: no instance has announced anything on this channel',
      'See --channel, and PostgresSource.status() of an instance.',
    );
  }
  return record === 'unseen'
    ? warn(
        'changes were missed',
        'Once the triggers are right, an instance invalidates the mapped types once.',
      )
    : ok('instances have seen the triggers as they should be');
}
