import type { NotificationList } from '../../communication-service/notification.js';
import type { FeedPage } from '../../social-service/feed.js';
import type { User } from '../../user-service/user.js';
import { milliseconds } from '../printer.js';
import {
  DERIVED_PATIENCE_MS,
  GATEWAYS,
  keep,
  publishedBy,
  read,
  readUntil,
  type Cast,
  type Story,
} from './story.js';

const show = ({ name, version }: User): string =>
  `"${name}", version ${version}`;

const showFeed = ({ items }: FeedPage): string =>
  `by ${items[0]?.author ?? 'nobody'}`;

const showList = ({ to }: NotificationList): string => `to ${to}`;

/** A script changes the rows: PostgreSQL itself says so, and every service hears it. */
export async function plainSql(
  story: Story,
  { adaId, graceId }: Cast,
): Promise<void> {
  const { network, http, judge, claims, print } = story;
  print.heading('Plain SQL changes the users, and no decorator sees it');
  const path = `/users/${graceId}`;
  const feed = `/feeds/${adaId}?page=1`;
  const notifications = `/notifications/${graceId}`;
  const users = network.urlOf('user-service');
  const row = async (): Promise<User> =>
    (await http.mustSend<User>('GET', `${users}${path}`)).body;

  const before = await row();
  const copies = [];
  for (const gateway of GATEWAYS) {
    await keep(story, gateway, path);
    copies.push(await read(story, gateway, path, show));
  }
  await read(story, 'gateway', feed, showFeed);
  await read(story, 'gateway', notifications, showList);
  claims.check(
    'before, both gateways serve the row as it is',
    copies.every(({ body }) => body.version === before.version),
  );

  const published = await publishedBy(story);
  const staleBefore = judge.stale;
  const script = await http.mustSend('POST', `${users}/sql/capitals`);
  print.step('psql -f user-service/capitals.sql', '', script.ms);
  const { name, version } = await row();
  const isNew = ({ body }: { body: User }): boolean => body.version === version;
  const ms = await heard(story, path, script.ended, isNew);
  print.text(`... heard ${milliseconds(ms)} ms after the commit`);
  const now = performance.now();
  for (const gateway of GATEWAYS) {
    await readUntil<User>(story, gateway, path, now, isNew, ({ body }) =>
      show(body),
    );
  }
  await readUntil<FeedPage>(
    story,
    'gateway',
    feed,
    now,
    ({ body }) => body.items[0]?.author === name,
    ({ body }) => showFeed(body),
    DERIVED_PATIENCE_MS,
  );
  await readUntil<NotificationList>(
    story,
    'gateway',
    notifications,
    now,
    ({ body }) => body.to === name,
    ({ body }) => showList(body),
    DERIVED_PATIENCE_MS,
  );
  claims.check(
    'the script changed the row, and no decorated method published that',
    version === before.version + 1 && (await publishedBy(story)) === published,
  );
  claims.check(
    'after, no service serves the old row',
    judge.stale === staleBefore,
  );
}

/**
 * Reads through a gateway until the change shows, for some time: it is on its way from
 * PostgreSQL.
 *
 * @param changed when the script was answered, by `performance.now()`
 * @returns milliseconds from then until the end of the last read
 */
async function heard(
  { network, http }: Story,
  path: string,
  changed: number,
  isNew: (answer: { body: User }) => boolean,
): Promise<number> {
  const url = `${network.urlOf('gateway')}${path}`;
  for (;;) {
    const answer = await http.mustSend<User>('GET', url);
    const ms = answer.ended - changed;
    if (isNew(answer) || ms > DERIVED_PATIENCE_MS) return ms;
  }
}
