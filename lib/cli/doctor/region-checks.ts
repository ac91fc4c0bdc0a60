import {
  ACTIVE_ACTIVE,
  ACTIVE_ACTIVE_ADVICE,
  isActiveActive,
  missingRights,
  relayKey,
} from '../../transport/index.js';
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
import { lastEntries } from './journal-checks.js';
import { namesIn, topologyOf } from './region-names.js';
import { checkRecord, LATE_MS, recordOf } from './record-check.js';
import { isSameJournal, type SourceView } from './source-view.js';

/** Checks how the messages of other regions reach this one. @internal */
export function regionChecks(
  local: string,
  sources: readonly SourceView[],
): Check[] {
  const ofEach = sources.flatMap((source, index) => [
    {
      name: `source ${source.name}`,
      run: (link: RedisLink) =>
        checkSource(source, link, sources.slice(0, index)),
    },
    {
      name: `record ${source.name}`,
      run: (link: RedisLink) => checkRecord(source, link),
    },
    {
      name: `relay ${source.name}`,
      run: (link: RedisLink) => checkRelay(source, link),
    },
    {
      name: `proof ${source.name}`,
      run: (link: RedisLink) => checkProof(source, link),
    },
  ]);
  return [
    ...ofEach,
    {
      name: 'topology',
      async run(link) {
        const unread: Finding[] = [];
        const samples = sources.map(async (source) => {
          const { name, transit } = source;
          const entries = await source.entries().catch(() => {
            unread.push(unknown(`the journal of ${name} cannot be read`));
            return [];
          });
          return { name, transit, entries };
        });
        const findings = topologyOf(
          local,
          await lastEntries(link),
          await Promise.all(samples),
        );
        const names = sources.map(({ name }) => name).join(', ');
        return together(
          [...findings, ...unread],
          `${local} takes over ${names}`,
        );
      },
    },
  ];
}

async function checkSource(
  source: SourceView,
  local: RedisLink,
  earlier: readonly SourceView[],
): Promise<Finding> {
  const { name } = source;
  let link: RedisLink;
  try {
    link = await source.link();
  } catch (error) {
    return { status: 'fail', message: (error as Error).message };
  }
  const { client, journal, target } = link;
  const missing = await link.within(
    'a query of rights',
    missingRights(client, journal.key, { ...target, role: 'subscriber' }),
  );
  if (missing.length > 0) {
    return fail(
      `its user lacks ${missing.join(', ')}`,
      `Grant it there: doctor --acl --role subscriber, with the URL of ${name}.`,
    );
  }
  const entries = await source.entries();
  const findings = [namesIn(name, entries)];
  if (await link.within('INFO modules', isActiveActive(client))) {
    findings.push(fail(ACTIVE_ACTIVE, ACTIVE_ACTIVE_ADVICE));
  }
  if (await isSameJournal([link, entries], [local, await lastEntries(local)])) {
    findings.push(
      fail(
        "its journal is this region's own",
        `Give the Redis of ${name}: this URL leads to the Redis of this region.`,
      ),
    );
  }
  for (const other of earlier) {
    const others = await other.entries().catch(() => null);
    if (others === null) continue;
    const there = await other.link();
    if (!(await isSameJournal([link, entries], [there, others]))) continue;
    findings.push(
      fail(
        `its journal is that of source ${other.name}, too: each message is announced twice`,
        'Give each journal once, by the name of its region.',
      ),
    );
  }
  const end = entries.at(-1)?.offset;
  return together(
    findings,
    `${target.where}, ${end === undefined ? 'without a journal yet' : `its journal ends at ${end}`}`,
  );
}

async function checkRelay(
  { name }: SourceView,
  local: RedisLink,
): Promise<Finding> {
  const key = `${relayKey(local.target.channel, name)}:holder`;
  const id = await local.within('GET', local.client.get(key));
  return id === null
    ? warn(
        `nobody relays ${name}`,
        `Start an instance with regions: { sources: { ${name}: { connection } } }, or another relay.`,
      )
    : ok(`held by ${visible(id, 40)}`);
}

async function checkProof(
  source: SourceView,
  local: RedisLink,
): Promise<Finding> {
  const { name } = source;
  const age = await recordOf(source, local).proofAge();
  if (age !== null && age <= LATE_MS) {
    return ok(`everything of ${name} was here ${showDuration(age)} ago`);
  }
  return warn(
    age === null
      ? `blind to ${name}: no relay has proved that everything is here`
      : `blind to ${name} for ${showDuration(age)}`,
    `See that a relay runs, and that it reaches the Redis of ${name}.`,
  );
}
