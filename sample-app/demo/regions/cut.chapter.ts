import { copy, CROSSING_PATIENCE_MS } from './crossing.chapter.js';
import { REGIONS } from './regions.network.js';
import {
  allUp,
  heard,
  stateOf,
  until,
  type RegionsStory,
  type Row,
  type Version,
} from './regions.story.js';

const WRITES_EACH_ROW = 15;
const HEALTH_EVERY_MS = 1_000;

/** A cut, until eu says that it is blind. */
export async function cut(story: RegionsStory): Promise<void> {
  const { network, claims, print } = story;
  print.heading('The link between the regions is cut');
  network.cut();
  const begun = performance.now();
  let shownAt = -HEALTH_EVERY_MS;
  let reason = '';
  await until('eu says that it is blind', async () => {
    const state = await stateOf(story, 'eu');
    const { status } = state.health;
    reason = state.health.reason ?? '';
    const ms = performance.now() - begun;
    if (status === 'degraded' || ms - shownAt >= HEALTH_EVERY_MS) {
      shownAt = ms;
      const why = reason && ` (${reason})`;
      print.step('health of eu', status, ms, `${heard('us', state)}${why}`);
    }
    return status === 'degraded';
  });
  claims.check(
    'eu says to which region it is blind',
    reason.startsWith('blind to us'),
  );
}

/**
 * Writes that the other region does not hear of, while each hears its own.
 *
 * @returns the number of writes in each region
 */
export async function writeApart(
  story: RegionsStory,
  rows: readonly Row[],
): Promise<number> {
  const { network, http, judge, claims, print } = story;
  print.heading('Writes in both regions during the cut');
  await copy(story, rows);
  const begun = performance.now();
  const staleBefore = judge.stale;
  let old = 0;
  for (const row of rows) {
    const version = await writeOften(story, row);
    await judge.readUntil<Version>(
      `${network.urlOf(row.home, 'gateway')}${row.path}`,
      performance.now(),
      ({ body }) => body.version === version,
      CROSSING_PATIENCE_MS,
    );
    const url = `${network.urlOf(row.away, 'gateway')}${row.path}`;
    const { body } = await http.mustSend<Version>('GET', url);
    if (body.version !== version) old++;
  }
  const writes = rows.length * WRITES_EACH_ROW;
  print.step(`${writes} writes`, '', performance.now() - begun);
  claims.check('each region reads its own writes', judge.stale === staleBefore);
  claims.check(
    `${old} of ${rows.length} copies are old in the other region: it cannot know`,
    old === rows.length,
  );
  return writes / REGIONS.length;
}

/** @returns the last version */
async function writeOften(
  { network, http }: RegionsStory,
  { home, service, path, content }: Row,
): Promise<number> {
  const owner = `${network.urlOf(home, service)}${path}`;
  let version = 0;
  for (let number = 1; number <= WRITES_EACH_ROW; number++) {
    const { body } = await http.mustSend<Version>(
      'PUT',
      owner,
      content(number),
    );
    version = body.version;
  }
  return version;
}

/**
 * The link is back: what was missed is read from the journals.
 *
 * @param missed the number of messages that each region has missed
 */
export async function heal(story: RegionsStory, missed: number): Promise<void> {
  const { network, claims, print } = story;
  print.heading('The link is back');
  const before = await delivered(story);
  const begun = performance.now();
  network.heal();
  const took: number[] = [];
  const isReplayed = async (): Promise<boolean> => {
    const now = await delivered(story);
    for (const [index, count] of now.entries()) {
      if (count - before[index]! < missed) continue;
      took[index] ??= performance.now() - begun;
    }
    return now.every((_, index) => took[index] !== undefined);
  };
  await until('what was missed is replayed', isReplayed, 1);
  for (const [index, region] of REGIONS.entries()) {
    print.step(`${missed} messages replayed to ${region}`, '', took[index]!);
  }
  await until('both regions are up', () => allUp(story));
  const state = await stateOf(story, 'eu');
  const { status } = state.health;
  const ms = performance.now() - begun;
  print.step('health of eu', status, ms, heard('us', state));
  const now = await delivered(story);
  claims.check(
    'each message of the cut was replayed once, and nothing else was evicted',
    now.every((count, index) => missed === count - before[index]!),
  );
}

/** Messages that each gateway has applied. */
function delivered(story: RegionsStory): Promise<number[]> {
  return Promise.all(
    REGIONS.map(async (region) => {
      const { stats } = await stateOf(story, region);
      return stats.delivered;
    }),
  );
}

/** Compares both regions with the rows. */
export async function compare(
  { network, http, claims, print }: RegionsStory,
  rows: readonly Row[],
): Promise<void> {
  print.heading('Both regions, compared with the rows');
  const begun = performance.now();
  let different = 0;
  for (const { home, service, path } of rows) {
    const owner = `${network.urlOf(home, service)}${path}`;
    const row = JSON.stringify((await http.mustSend('GET', owner)).body);
    for (const region of REGIONS) {
      const url = `${network.urlOf(region, 'gateway')}${path}`;
      const { body } = await http.mustSend('GET', url);
      if (JSON.stringify(body) !== row) different++;
    }
  }
  print.step(
    `${rows.length} rows read in both regions`,
    '',
    performance.now() - begun,
    `${different} differ`,
  );
  claims.check('both regions are the same', different === 0);
}
