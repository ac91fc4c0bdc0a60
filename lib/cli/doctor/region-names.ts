import { relayed } from '../../message/index.js';
import { visible } from '../visible.js';
import { ok, warn, type Finding } from './finding.js';
import type { Entry } from './journal-checks.js';

/** A source, and the last entries of its journal. @internal */
export interface SourceSample {
  readonly name: string;
  readonly transit: boolean;
  readonly entries: readonly Entry[];
}

/** Whether the messages of a source go by the name of its region. @internal */
export function namesIn(name: string, entries: readonly Entry[]): Finding {
  const regions = entries.flatMap(({ message }) =>
    message === null ? [] : [message.region],
  );
  const count = regions.length;
  const unnamed = regions.filter((region) => region === null).length;
  if (unnamed > 0) {
    return warn(
      `${unnamed} of its last ${count} messages carry no region`,
      `They count as born in ${name}. Give every service there regions: { local: "${name}", sources: … }.`,
    );
  }
  if (count === 0 || regions.includes(name)) return ok('named');
  return warn(
    `none of its last ${count} messages was born in ${name}, but in ${listOf(regions)}`,
    `If its services call it so (regions.local), use that name here; a region has one name everywhere.`,
  );
}

/**
 * Regions whose messages are known here, and do not reach this region, or reach it
 * twice, by the last entries of all journals.
 *
 * @internal
 */
export function topologyOf(
  local: string,
  own: readonly Entry[],
  sources: readonly SourceSample[],
): Finding[] {
  /** Sources that bring a region's messages, by that region. */
  const bringers = new Map(sources.map(({ name }) => [name, new Set([name])]));
  /** Sources that have such messages, and do not bring them. */
  const lacking = new Map<string, Set<string>>();
  for (const { name, transit, entries } of sources) {
    for (const { message } of entries) {
      const born = message?.region ?? name;
      if (message === null || born === local) continue;
      if (message.path?.includes(local)) continue;
      const isBrought = relayed(message, name, local, transit) !== null;
      const map = isBrought ? bringers : lacking;
      map.set(born, (map.get(born) ?? new Set()).add(name));
    }
  }
  const findings: Finding[] = [];
  for (const [born, names] of lacking) {
    if (bringers.has(born)) continue;
    findings.push(
      warn(
        `messages born in ${visible(born)} are in the journal of ${listOf(names)}, and no source here brings ${visible(born)}: they do not reach ${local}`,
        `Add ${visible(born)} as a source, or transit to ${listOf(names, ' or ')}.`,
      ),
    );
  }
  for (const [born, names] of bringers) {
    // A source comes before those that bring its messages by transit.
    const [, ...spare] = names;
    if (spare.length === 0) continue;
    findings.push(
      warn(
        `messages born in ${visible(born)} are brought by ${listOf(names, ' and ')}: each is announced twice`,
        `Leave out transit for ${listOf(spare)}.`,
      ),
    );
  }
  const strange = own
    .flatMap(({ message }) => message?.region ?? [])
    .filter((region) => region !== local && !bringers.has(region));
  if (strange.length > 0) {
    findings.push(
      warn(
        `messages born in ${listOf(strange)} are in the journal of ${local}, and no source here brings them`,
        `If services here call this region so (regions.local), use that name; else a source is missing here.`,
      ),
    );
  }
  return findings;
}

function listOf(names: Iterable<string | null>, joint = ', '): string {
  return [...new Set(names)].map((name) => visible(name ?? '', 40)).join(joint);
}
