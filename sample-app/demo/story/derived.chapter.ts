import type { NotificationList } from '../../communication-service/notification.js';
import type { FeedPage } from '../../social-service/feed.js';
import type { User } from '../../user-service/user.js';
import {
  DERIVED_PATIENCE_MS,
  read,
  readUntil,
  type Cast,
  type Story,
} from './story.js';

const showFeed = ({ page, pages, items }: FeedPage): string =>
  `page ${page} of ${pages}, by ${items[0]?.author ?? 'nobody'}`;

const showNotifications = ({ notifications }: NotificationList): string =>
  `${notifications.length} notifications`;

/** Feeds and notifications that are made of a user change with the user. */
export async function derivedData(
  story: Story,
  { adaId, graceId }: Cast,
): Promise<void> {
  const { network, http, print } = story;
  print.heading('A name changes: feeds that show it, a notification about it');
  await read(story, 'gateway', `/feeds/${adaId}?page=1`, showFeed);
  await read(story, 'gateway', `/notifications/${graceId}`, showNotifications);
  const name = 'Grace Hopper';
  const update = await http.mustSend<User>(
    'PUT',
    `${network.urlOf('user-service')}/users/${graceId}`,
    { name },
  );
  print.step(`PUT user-service/users/${graceId}`, '', update.ms, `"${name}"`);
  await readUntil<FeedPage>(
    story,
    'gateway',
    `/feeds/${adaId}?page=1`,
    update.ended,
    ({ body }) => body.items[0]?.author === name,
    ({ body }) => showFeed(body),
    DERIVED_PATIENCE_MS,
  );
  await readUntil<NotificationList>(
    story,
    'gateway',
    `/notifications/${graceId}`,
    update.ended,
    ({ body }) => body.to === name && body.notifications.length > 0,
    ({ body }) => showNotifications(body),
    DERIVED_PATIENCE_MS,
  );
}
