import { describeCause } from '../errors/index.js';
import { ROLES, type InvalidationRole } from '../common/index.js';
import { collected, type CliCommand } from './command.js';
import { reportAcl } from './doctor/acl-report.js';
import { CHANNEL_CHECKS, listening } from './doctor/channel-checks.js';
import {
  ok,
  unknown,
  worst,
  type Check,
  type Finding,
  type Status,
} from './doctor/finding.js';
import { JOURNAL_CHECKS } from './doctor/journal-checks.js';
import { LISTENER_CHECKS } from './doctor/listener-checks.js';
import { MEMORY_CHECKS } from './doctor/memory-checks.js';
import { regionChecks } from './doctor/region-checks.js';
import { rightsOf } from './doctor/rights-check.js';
import { SERVER_CHECKS } from './doctor/server-checks.js';
import { SIGNATURE_CHECK } from './doctor/signature-check.js';
import { sourceChecks } from './doctor/source-checks.js';
import { SourceView } from './doctor/source-view.js';
import { TLS_CHECK } from './doctor/tls-check.js';
import { versionsIn } from './doctor/versions-check.js';
import { parseDuration } from './duration.js';
import type { Format, Io } from './io.js';
import {
  postgresOptions,
  sourceFrom,
  type PostgresValues,
} from './pg/postgres-settings.js';
import { RedisLink } from './redis-link.js';
import {
  regionOptions,
  regionsFrom,
  type RegionValues,
} from './region-settings.js';
import { table } from './table.js';
import { targetFrom } from './target.js';
import { UsageError } from './usage.error.js';
import { jsonLine, visible } from './visible.js';

const COLOURS: Record<Status, Format> = {
  ok: 'green',
  unknown: 'dim',
  warn: 'yellow',
  fail: 'red',
};

/** Aligns advice and details with the messages. */
const INDENT = ' '.repeat(25);
const MOST_DETAILS = 50;

type Named = Finding & { readonly name: string };

interface DoctorValues extends RegionValues, PostgresValues {
  readonly listen?: string;
  readonly role?: string;
  readonly acl?: boolean;
  readonly l2?: readonly string[];
  readonly regions?: boolean;
}

const NOTES = `
Connects as the services do: give it their URL, user included. Each line is ok,
warn, fail or unknown (the server does not say), with advice. The exit code is 1
if a check failed. The versions are those that the application in the current
folder has installed.

With --acl it prints the least rights for the role, as ACL SETUSER, in place of the
checks, and what the connected user may do besides. --l2 adds those for near caches
in Redis: near:<service name> and each keyPrefix of yours; --regions adds those for
the option regions.

With --region and --source it also checks how the messages of other regions reach
this one. A source needs the rights of a subscriber there. If this region loads from a
replica of the database, measure how far that falls behind, and give twice the
greatest value as the delay of the source; on a replica of PostgreSQL:
SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())

With --postgres it also checks PostgreSQL as a source of invalidations: the server,
the rights of the user, slot, publication, mapped tables, limits, and the record in
Redis; with --mode triggers the triggers, the outbox and what they cannot see. It
needs the package pg, as services do.`;

/** Checks the server, the channel and the journal of a deployment. @internal */
export const doctor: CliCommand<DoctorValues> = {
  define(command) {
    for (const option of [...regionOptions(), ...postgresOptions()]) {
      command.addOption(option);
    }
    command
      .option(
        '--listen <time>',
        'listen for that long to messages that no journal holds',
      )
      .option(
        '--role <role>',
        'both, subscriber or publisher ($CACHE_INVALIDATION_ROLE, else both)',
      )
      .option('--acl', 'print the ACL rules that the role needs')
      .option(
        '--l2 <prefix>',
        'with --acl: beginning of keys of near caches in Redis; may be repeated',
        collected,
      )
      .option('--regions', 'with --acl: add the rights for the option regions')
      .addHelpText('after', NOTES);
  },
  async run(values, _words, io) {
    const role = roleFrom(values, io.env);
    const regions = regionsFrom(values, io.env);
    const database = sourceFrom(values, io.env);
    const link = new RedisLink(targetFrom(values, io.env));
    if (values.acl) {
      await reportAcl(link, role, values, io).finally(() => link.close());
      return 0;
    }
    const sources = (regions?.sources ?? []).map(
      (settings) => new SourceView(settings),
    );
    const postgres =
      database === null ? null : sourceChecks(database, link.target.timeout);
    const checks = [
      ...SERVER_CHECKS,
      TLS_CHECK,
      ...MEMORY_CHECKS,
      rightsOf(role, regions),
      ...CHANNEL_CHECKS,
      ...JOURNAL_CHECKS,
      SIGNATURE_CHECK,
      ...LISTENER_CHECKS,
      ...(regions === null ? [] : regionChecks(regions.local, sources)),
      ...(postgres?.checks ?? []),
    ];
    const last =
      values.listen === undefined
        ? []
        : [listening(parseDuration('listen', values.listen))];
    const findings: Named[] = [
      { name: 'versions', ...versionsIn(process.cwd()) },
    ];
    try {
      findings.push(...(await examine(link, checks, last)));
    } finally {
      for (const each of [link, ...sources, postgres]) each?.close();
    }
    const { status } = worst(findings);
    if (values.json) io.out(jsonLine({ status, checks: findings }));
    else for (const finding of findings) io.out(text(finding, io));
    return status === 'fail' ? 1 : 0;
  },
};

/** @throws UsageError for an unknown role, and for what is for `--acl` without it */
function roleFrom(
  { role, acl, l2 = [], regions }: DoctorValues,
  env: NodeJS.ProcessEnv,
): InvalidationRole {
  if (!acl && l2.length > 0) {
    throw new UsageError('--l2 is for --acl.', 'Give both, or neither.');
  }
  if (!acl && regions) {
    throw new UsageError(
      '--regions is for --acl.',
      'Give both, or --region and --source for the checks.',
    );
  }
  if (l2.some((prefix) => !/^[^\s()'"]+$/.test(prefix))) {
    throw new UsageError(
      '--l2 has a space, a parenthesis or a quote, which no rule can hold.',
      'Give the beginning of the keys before it.',
    );
  }
  const given = role ?? (env['CACHE_INVALIDATION_ROLE'] || 'both');
  const known = ROLES.find((each) => each === given);
  if (known !== undefined) return known;
  throw new UsageError(
    '--role is none that there is.',
    'Give both, subscriber or publisher.',
  );
}

async function examine(
  link: RedisLink,
  checks: readonly Check[],
  last: readonly Check[],
): Promise<Named[]> {
  const { where } = link.target;
  try {
    await link.connect();
  } catch (error) {
    const { message } = error as Error;
    return [{ name: 'connection', status: 'fail', message }];
  }
  const [first, ...others] = checks;
  const findings = [
    { name: 'connection', ...ok(where) },
    // The round trip, before the other checks load the connection.
    await look(link, first!),
  ];
  findings.push(
    ...(await Promise.all(others.map((check) => look(link, check)))),
  );
  // Listening subscribes, and the other checks count subscriptions.
  for (const check of last) findings.push(await look(link, check));
  return findings;
}

/** Runs a check; one that throws becomes a finding, and the others run on. */
async function look(link: RedisLink, { name, run }: Check): Promise<Named> {
  try {
    return { name, ...(await run(link)) };
  } catch (error) {
    const cause = visible(describeCause(error as Error));
    return { name, ...unknown(`cannot tell: ${cause}`) };
  }
}

function text(finding: Named, io: Io): string {
  const { name, status, message, advice, details = [] } = finding;
  const rows = details
    .slice(0, MOST_DETAILS)
    // Escaped before they are joined: a name may hold a line break.
    .map((row) => Object.values(row).map((cell) => visible(cell)));
  const more = details.length - rows.length;
  return [
    `${io.style(COLOURS[status], status.padEnd(7))}  ${name.padEnd(14)}  ${visible(message, 1_000)}`,
    ...(advice === undefined ? [] : [INDENT + io.style('bold', advice)]),
    ...(rows.length === 0 ? [] : table(rows).split('\n').map(indented)),
    ...(more > 0 ? [indented(`and ${more} more: --json has them all`)] : []),
  ].join('\n');
}

function indented(line: string): string {
  return INDENT + visible(line);
}
