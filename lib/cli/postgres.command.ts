import { Argument, Option } from 'commander';
import type { CliCommand, ConnectionValues } from './command.js';
import { parseDuration } from './duration.js';
import type { Io } from './io.js';
import { dropOutbox, dropOutboxText } from './pg/drop-outbox.js';
import { dropSource, dropText } from './pg/drop-source.js';
import { PostgresLink, withPostgres } from './pg/postgres-link.js';
import {
  isTriggerMode,
  namesFrom,
  postgresOptions,
  postgresUrlFrom,
  userFrom,
  type PostgresNames,
  type PostgresValues,
} from './pg/postgres-settings.js';
import { setupSql, triggerSetupSql } from './pg/setup-sql.js';
import { triggersFrom } from './pg/trigger-settings.js';
import { UsageError } from './usage.error.js';
import { jsonLine } from './visible.js';

interface PostgresCommandValues extends PostgresValues {
  readonly user?: string;
  readonly wakeUp?: boolean;
}

const DEFAULT_TIMEOUT_MS = 5_000;

const NOTES = `
sql prints what a database administrator runs once, and connects to nothing. Changes
of the server's settings are comments in it: they need a restart, or a decision.

drop removes the replication slot and the publication, once no service uses them: a
slot that nobody reads keeps the server's log until its disk is full. It refuses while
the slot is read. Services that are still running would create both again. It needs the
package pg, as services do. A password belongs in CACHE_INVALIDATION_POSTGRES_URL.

With --mode triggers, sql prints the outbox and its triggers, and drop removes them with
the rows in the outbox, as its owner. A table whose option is an entity type is given as
public.users=User, one with a mapper as public.memberships, whose columns, if its option
has them, are --columns public.memberships=user_id,team_id; --bulk and --outbox are as in
the options.

To check a source: doctor --postgres URL --tables public.users`;

/** Prepares a database for a source of invalidations, and undoes it. @internal */
export const postgres: CliCommand<PostgresCommandValues> = {
  define(command) {
    command
      .usage(
        `sql [--tables public.users,public.memberships] [--user app]
       … postgres sql --mode triggers --tables public.users=User,public.memberships
       … postgres drop --postgres postgres://user@host/database`,
      )
      .addArgument(
        new Argument('<action>', 'what to do').choices(['sql', 'drop']),
      );
    for (const option of postgresOptions()) command.addOption(option);
    command
      .option(
        '--user <name>',
        'for sql: role of the services (cache_invalidation; with triggers none)',
      )
      .option('--wake-up', 'for sql, with triggers: notify at each commit')
      .addHelpText('after', NOTES);
  },
  connection: () => [
    new Option(
      '--timeout <time>',
      'for drop: how long PostgreSQL may take to connect, and to answer (5s)',
    ),
    new Option('--json', 'for drop: print JSON in place of text'),
  ],
  async run(values, [action], io) {
    if (action === 'sql') printSql(values, io);
    else await drop(values, io);
    return 0;
  },
};

function printSql(
  values: PostgresCommandValues & ConnectionValues,
  io: Io,
): void {
  const wrong = (['postgres', 'timeout', 'json'] as const).find(
    (name) => values[name] !== undefined,
  );
  if (wrong !== undefined) {
    throw new UsageError(
      `--${wrong} is not for sql.`,
      'Leave it out: sql connects to nothing.',
    );
  }
  if (isTriggerMode(values)) {
    io.out(triggersSql(values));
  } else if (values.wakeUp) {
    throw new UsageError('--wake-up is for --mode triggers.', 'Give both.');
  } else {
    io.out(setupSql(namesFrom(values, io.env), userFrom(values.user)));
  }
}

function triggersSql(values: PostgresCommandValues): string {
  const names = triggersFrom(values);
  if (names.tables.length === 0) {
    throw new UsageError(
      'No tables are given.',
      'Give --tables public.users=User, and those of mappers without a type.',
    );
  }
  const { user, wakeUp = false } = values;
  return triggerSetupSql(names, {
    wakeUp,
    ...(user !== undefined && { role: userFrom(user) }),
  });
}

async function drop(
  values: PostgresCommandValues & ConnectionValues,
  io: Io,
): Promise<void> {
  const wrong = (['tables', 'columns', 'bulk', 'user', 'wakeUp'] as const).find(
    (name) => values[name] !== undefined,
  );
  if (wrong !== undefined) {
    throw new UsageError(
      `--${wrong === 'wakeUp' ? 'wake-up' : wrong} is not for drop.`,
      'Leave it out: tables and roles are kept.',
    );
  }
  const url = postgresUrlFrom(values, io.env);
  if (url === null) {
    throw new UsageError(
      'No database is given.',
      'Give --postgres postgres://user@host/database, or CACHE_INVALIDATION_POSTGRES_URL.',
    );
  }
  const timeout =
    values.timeout === undefined
      ? DEFAULT_TIMEOUT_MS
      : parseDuration('timeout', values.timeout);
  const work = isTriggerMode(values)
    ? droppingOutbox(triggersFrom(values).outbox, timeout)
    : droppingSource(namesFrom(values, io.env));
  const [result, lines] = await withPostgres(
    new PostgresLink(url, timeout),
    work,
  );
  if (values.json) io.out(jsonLine(result));
  else for (const line of lines) io.out(line);
}

/** Resolves with the result as JSON, and for people. */
type Dropping = (
  link: PostgresLink,
) => Promise<readonly [result: object, lines: readonly string[]]>;

function droppingSource(names: PostgresNames): Dropping {
  return async (link) => {
    const result = await dropSource(link, names);
    return [result, dropText(names, result)];
  };
}

function droppingOutbox(outbox: string, timeout: number): Dropping {
  return async (link) => {
    const result = await dropOutbox(link, outbox, timeout);
    return [result, dropOutboxText(outbox, result)];
  };
}
