import { Argument, Option } from 'commander';
import type { CliCommand, ConnectionValues } from './command.js';
import { parseDuration } from './duration.js';
import type { Io } from './io.js';
import { dropSource, dropText } from './pg/drop-source.js';
import { PostgresLink, withPostgres } from './pg/postgres-link.js';
import {
  namesFrom,
  postgresOptions,
  postgresUrlFrom,
  userFrom,
  type PostgresValues,
} from './pg/postgres-settings.js';
import { setupSql } from './pg/setup-sql.js';
import { UsageError } from './usage.error.js';
import { jsonLine } from './visible.js';

interface PostgresCommandValues extends PostgresValues {
  readonly user?: string;
}

const DEFAULT_TIMEOUT_MS = 5_000;

const NOTES = `
sql prints what a database administrator runs once, and connects to nothing. Changes
of the server's settings are comments in it: they need a restart, or a decision.

drop removes the replication slot and the publication, once no service uses them: a
slot that nobody reads keeps the server's log until its disk is full. It refuses while
the slot is read. Services that are still running would create both again. It needs the
package pg, as services do. A password belongs in CACHE_INVALIDATION_POSTGRES_URL.

To check a source: doctor --postgres URL --tables public.users`;

/** Prepares a database for a source of invalidations, and undoes it. @internal */
export const postgres: CliCommand<PostgresCommandValues> = {
  define(command) {
    command
      .usage(
        `sql [--tables public.users,public.memberships] [--user app]
       … postgres drop --postgres postgres://user@host/database`,
      )
      .addArgument(
        new Argument('<action>', 'what to do').choices(['sql', 'drop']),
      );
    for (const option of postgresOptions()) command.addOption(option);
    command
      .option(
        '--user <name>',
        'for sql: role of the services (cache_invalidation)',
      )
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
  io.out(setupSql(namesFrom(values, io.env), userFrom(values.user)));
}

async function drop(
  values: PostgresCommandValues & ConnectionValues,
  io: Io,
): Promise<void> {
  const wrong = (['tables', 'user'] as const).find(
    (name) => values[name] !== undefined,
  );
  if (wrong !== undefined) {
    throw new UsageError(
      `--${wrong} is not for drop.`,
      'Leave it out: tables and roles are kept.',
    );
  }
  const names = namesFrom(values, io.env);
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
  const result = await withPostgres(new PostgresLink(url, timeout), (link) =>
    dropSource(link, names),
  );
  if (values.json) io.out(jsonLine(result));
  else for (const line of dropText(names, result)) io.out(line);
}
