import { nodesOf } from '../../transport/index.js';
import { RedisLink } from '../redis-link.js';
import type { SourceSettings } from '../region-settings.js';
import { lastEntries, type Entry } from './journal-checks.js';
import { infoOf } from './nodes.js';

/** The Redis of another region. It is read with the rights of a subscriber. @internal */
export class SourceView {
  readonly name: string;
  readonly transit: boolean;
  readonly #link: RedisLink;
  #connected: Promise<void> | null = null;
  #entries: Promise<Entry[]> | null = null;

  constructor({ name, transit, target }: SourceSettings) {
    this.name = name;
    this.transit = transit;
    this.#link = new RedisLink(target);
  }

  /** @throws InvalidationRedisError that says why Redis cannot be reached. */
  async link(): Promise<RedisLink> {
    this.#connected ??= this.#link.connect();
    await this.#connected;
    return this.#link;
  }

  /** The last entries of the journal, in order. */
  async entries(): Promise<Entry[]> {
    const link = await this.link();
    this.#entries ??= lastEntries(link);
    return this.#entries;
  }

  close(): void {
    this.#link.close();
  }
}

/** Whether two links lead to one journal. @internal */
export async function isSameJournal(
  [link, entries]: [RedisLink, readonly Entry[]],
  [other, others]: [RedisLink, readonly Entry[]],
): Promise<boolean> {
  if (entries.length > 0 && others.length > 0) {
    // No two journals give the same place to the same message.
    const known = new Map(others.map((each) => [each.offset, each.payload]));
    return entries.some(({ offset, payload }) => known.get(offset) === payload);
  }
  if (entries.length !== others.length) return false;
  const [runs, otherRuns] = await Promise.all([runsOf(link), runsOf(other)]);
  return runs.some((run) => otherRuns.includes(run));
}

/** Random ids of the running servers. */
async function runsOf(link: RedisLink): Promise<string[]> {
  const runs = nodesOf(link.client, 'master').map(async (node) => {
    const info = await infoOf(link, node, 'server');
    return info.get('run_id') ?? [];
  });
  return (await Promise.all(runs)).flat();
}
