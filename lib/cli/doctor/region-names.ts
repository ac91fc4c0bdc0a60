import { relayed } from '../../message/index.js';
import { visible } from '../visible.js';
import { ok, warn, type Finding } from './finding.js';
import type { Entry } from './journal-checks.js';

/** A source, and the last entries of its journal. @internal */
export interface SourceSample {
  readonly name: string;
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
 * Regions whose messages reach this region twice, or are here although no source
 * brings them, by the last entries of all journals.
 *
 * @internal
 */
export function topologyOf(
  local: string,
  own: readonly Entry[],
  samples: readonly SourceSample[],
): Finding[] {
  const sources = samples.map(({ name }) => name);
  /** Sources that bring a region's messages, by that region. */
  const bringers = new Map(sources.map((name) => [name, new Set([name])]));
  for (const { name, entries } of samples) {
    for (const { message } of entries) {
      if (message === null) continue;
      const brought = relayed(message, name, local, sources);
      if (brought === null) continue;
      const born = brought.region ?? name;
      bringers.set(born, (bringers.get(born) ?? new Set()).add(name));
    }
  }
  const findings: Finding[] = [];
  for (const [born, names] of bringers) {
    if (names.size === 1) continue;
    findings.push(
      warn(
        `messages born in ${visible(born)} are brought by ${listOf(names, ' and ')}: each is announced twice`,
        `Add ${visible(born)} as a source.`,
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
