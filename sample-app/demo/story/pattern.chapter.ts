import type { Post } from '../../content-service/post.js';
import type { User } from '../../user-service/user.js';
import {
  GATEWAYS,
  PATIENCE_MS,
  readUntil,
  type Cast,
  type Story,
} from './story.js';
import type { InstanceName } from '../../shared/services.js';

const PAGES = 3;
const POSTS = 5 * PAGES;

/**
 * Removes a user, and all pages of the user's feed by one pattern instead of a
 * list.
 */
export async function pattern(
  story: Story,
  { adaId, graceId }: Cast,
): Promise<void> {
  const { network, http, print } = story;
  print.heading(
    `Remove a user: one message for the user, one for feed:${adaId}:*`,
  );
  await fillFeed(story, graceId);
  for (const gateway of GATEWAYS) {
    await keepFeed(story, gateway, adaId);
    print.text(`${gateway} keeps ${PAGES} pages of the feed`);
    await http.mustSend('GET', `${network.urlOf(gateway)}/users/${adaId}`);
  }
  const path = `/users/${adaId}`;
  const removal = await http.mustSend(
    'DELETE',
    `${network.urlOf('user-service')}${path}`,
  );
  print.step(`DELETE user-service${path}`, '', removal.ms);
  for (const gateway of GATEWAYS) {
    for (const gone of [
      path,
      `/feeds/${adaId}?page=1`,
      `/feeds/${adaId}?page=${PAGES}`,
    ]) {
      await readUntil<User>(
        story,
        gateway,
        gone,
        removal.ended,
        ({ status }) => status === 404,
        ({ status }) => `HTTP ${status}`,
      );
    }
  }
}

async function fillFeed(
  { network, http }: Story,
  authorId: number,
): Promise<void> {
  const url = `${network.urlOf('content-service')}/posts`;
  for (let number = 1; number <= POSTS; number++) {
    const title = `Second thought ${number}`;
    await http.mustSend<Post>('POST', url, { authorId, title });
  }
}

/**
 * Reads all pages until the gateway keeps them: their pages are evicted again as
 * long as social-service rebuilds the feed for the new posts.
 */
async function keepFeed(
  story: Story,
  gateway: InstanceName,
  userId: number,
): Promise<void> {
  const url = `${story.network.urlOf(gateway)}/feeds/${userId}`;
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    let kept = 0;
    for (let page = 1; page <= PAGES; page++) {
      const { source } = await story.http.send('GET', `${url}?page=${page}`);
      if (source === 'HIT') kept++;
    }
    if (kept === PAGES) return;
  }
  throw new Error(`${gateway} does not keep the feed of user ${userId}.`);
}
