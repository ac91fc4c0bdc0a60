import type { Post } from '../../content-service/post.js';
import type { InstanceName } from '../../shared/services.js';
import { readUntil, GATEWAYS, type Cast, type Story } from './story.js';

/** One message with many keys. */
export async function batch(
  story: Story,
  { graceId, postIds }: Cast,
): Promise<void> {
  const { network, http, print } = story;
  print.heading('Archive all posts of a user: one message with their keys');
  for (const gateway of GATEWAYS) {
    await readAll(story, gateway, postIds);
    const kept = await readAll(story, gateway, postIds);
    print.text(`${gateway} keeps ${kept} posts`);
  }
  const path = `/users/${graceId}/posts/archive`;
  const archive = await http.mustSend<Post[]>(
    'POST',
    `${network.urlOf('content-service')}${path}`,
  );
  print.step(
    `POST content-service${path}`,
    '',
    archive.ms,
    `${archive.body.length} posts`,
  );
  const last = postIds.at(-1);
  for (const gateway of GATEWAYS) {
    await readUntil<Post>(
      story,
      gateway,
      `/posts/${last}`,
      archive.ended,
      ({ body }) => body.archived,
      ({ body }) => `archived: ${body.archived}`,
    );
  }
  await checkTheOthers(story, postIds.slice(0, -1), archive.ended);
}

/** @returns how many of the posts the gateway had a copy of */
async function readAll(
  { network, http }: Story,
  gateway: InstanceName,
  postIds: readonly number[],
): Promise<number> {
  let kept = 0;
  for (const id of postIds) {
    const url = `${network.urlOf(gateway)}/posts/${id}`;
    const { source } = await http.mustSend('GET', url);
    if (source === 'HIT') kept++;
  }
  return kept;
}

async function checkTheOthers(
  { network, judge, print }: Story,
  postIds: readonly number[],
  changed: number,
): Promise<void> {
  let fresh = 0;
  for (const id of postIds) {
    const verdict = await judge.readUntil<Post>(
      `${network.urlOf('gateway')}/posts/${id}`,
      changed,
      ({ body }) => body.archived,
      0,
    );
    if (verdict.fresh) fresh++;
  }
  print.text(`the other ${postIds.length} posts: ${fresh} fresh`);
}
