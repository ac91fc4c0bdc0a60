import type { Post } from '../../content-service/post.js';
import type { User } from '../../user-service/user.js';
import { milliseconds } from '../printer.js';
import { summaryOf } from '../summary.js';
import { REGIONS, ROUND_TRIP_MS } from './regions.network.js';
import {
  allUp,
  heard,
  stateOf,
  until,
  type RegionsStory,
  type Row,
  type Version,
} from './regions.story.js';

const ROWS_EACH = 10;
const WRITES = 20;

/**
 * How long after the answer to a change the other region may be old, in milliseconds:
 * the way there, and the rest for busy machines.
 */
export const CROSSING_PATIENCE_MS = 2_000;

/** Rows with an owner in each region, and copies of all of them in both. */
export async function prepare(story: RegionsStory): Promise<Row[]> {
  const { print } = story;
  const waited = await until('the regions hear each other', () => allUp(story));
  print.step('the regions hear each other', '', waited);
  const begun = performance.now();
  const rows = await create(story);
  await copy(story, rows);
  print.step(
    `${ROWS_EACH} users of us, ${ROWS_EACH} posts of eu, copied in both`,
    '',
    performance.now() - begun,
  );
  for (const region of REGIONS) {
    const other = region === 'eu' ? 'us' : 'eu';
    const state = await stateOf(story, region);
    print.text(
      `health of ${region}: ${state.health.status}, ${heard(other, state)}`,
    );
  }
  return rows;
}

async function create({ network, http }: RegionsStory): Promise<Row[]> {
  const users = `${network.urlOf('us', 'user-service')}/users`;
  const posts = `${network.urlOf('eu', 'content-service')}/posts`;
  const rows: Row[] = [];
  for (let number = 1; number <= ROWS_EACH; number++) {
    const user = { name: `User ${number}` };
    const { id } = (await http.mustSend<User>('POST', users, user)).body;
    rows.push({
      home: 'us',
      away: 'eu',
      service: 'user-service',
      path: `/users/${id}`,
      content: (at) => ({ name: `User ${id}, name ${at}` }),
    });
    const post = { authorId: id, title: `Post ${number}` };
    const { body } = await http.mustSend<Post>('POST', posts, post);
    rows.push({
      home: 'eu',
      away: 'us',
      service: 'content-service',
      path: `/posts/${body.id}`,
      content: (at) => ({ title: `Post ${body.id}, title ${at}` }),
    });
  }
  return rows;
}

/** Reads every row through both gateways. */
export async function copy(
  { network, http }: RegionsStory,
  rows: readonly Row[],
): Promise<void> {
  for (const { path } of rows) {
    for (const region of REGIONS) {
      const url = `${network.urlOf(region, 'gateway')}${path}`;
      await http.mustSend('GET', url);
    }
  }
}

/** Writes in each region; the other one reads until its copy is gone. */
export async function crossings(
  story: RegionsStory,
  rows: readonly Row[],
): Promise<void> {
  const { network, http, judge, print } = story;
  print.heading(
    `${WRITES} writes in each region, each read at once in the other (${ROUND_TRIP_MS} ms there and back)`,
  );
  const table = [['milliseconds from the commit', 'p50', 'p90', 'max']];
  for (const region of REGIONS) {
    const { away, service, path, content } = rows.find(
      ({ home }) => home === region,
    )!;
    const times: number[] = [];
    for (let number = 1; number <= WRITES; number++) {
      const owner = `${network.urlOf(region, service)}${path}`;
      const write = await http.mustSend<Version>('PUT', owner, content(number));
      const { ms } = await judge.readUntil<Version>(
        `${network.urlOf(away, 'gateway')}${path}`,
        write.ended,
        ({ body }) => body.version === write.body.version,
        CROSSING_PATIENCE_MS,
      );
      times.push(ms);
    }
    const { p50, p90, max } = summaryOf(times);
    table.push([
      `${region} writes, until ${away} reads it`,
      ...[p50, p90, max].map(milliseconds),
    ]);
  }
  print.table(table);
}

/** A client that has written in one region reads in the other, and says what it wrote. */
export async function ownWrite(
  { network, http, claims, print }: RegionsStory,
  rows: readonly Row[],
): Promise<void> {
  print.heading('A client writes in us, and reads its own write in eu');
  const { path, content } = rows.find(({ home }) => home === 'us')!;
  const owner = `${network.urlOf('us', 'user-service')}${path}`;
  const write = await http.mustSend<Version>('PUT', owner, content(0));
  print.step(`PUT us/user-service${path}`, '', write.ms, write.offset);
  const url = `${network.urlOf('eu', 'gateway')}${path}`;
  const read = await http.send<Version>('GET', url, undefined, write.offset);
  const { version } = read.body;
  print.step(
    `GET eu/gateway${path}, with that offset`,
    read.source,
    read.ms,
    `version ${version}`,
  );
  claims.check(
    'the first read had the new version',
    version === write.body.version,
  );
}
