import type { Post } from '../../content-service/post.js';
import type { HeardSql } from '../../user-service/source.controller.js';
import type { User } from '../../user-service/user.js';
import { GATEWAYS, PATIENCE_MS, type Cast, type Story } from './story.js';

/** Three pages of a feed. */
const POSTS = 12;

/** Creates users and posts, and uses each connection once, since the first use takes longest. */
export async function prepare(story: Story): Promise<Cast> {
  const { network, http, print } = story;
  const begun = performance.now();
  const users = `${network.urlOf('user-service')}/users`;
  const posts = `${network.urlOf('content-service')}/posts`;
  const social = `${network.urlOf('social-service')}/users`;
  // A slot has what is committed once it is made.
  await sqlIsHeard(story, ({ hears }) => hears);
  const grace = await http.mustSend<User>('POST', users, { name: 'Grace' });
  const ada = await http.mustSend<User>('POST', users, { name: 'Ada' });
  const [adaId, graceId] = [ada.body.id, grace.body.id];
  const postIds: number[] = [];
  for (let number = 1; number <= POSTS; number++) {
    const post = { authorId: graceId, title: `Post ${number}` };
    const { body } = await http.mustSend<Post>('POST', posts, post);
    postIds.push(body.id);
  }
  await http.mustSend('PUT', `${social}/${adaId}/following/${graceId}`);
  for (const gateway of GATEWAYS) {
    const url = network.urlOf(gateway);
    await http.mustSend('GET', `${url}/users/${graceId}`);
    await http.mustSend('GET', `${url}/posts/${postIds[0]}`);
    await http.mustSend('GET', `${url}/feeds/${graceId}`);
    await http.mustSend('GET', `${url}/notifications/${graceId}`);
  }
  await sqlIsHeard(story, ({ rows }) => rows >= 2);
  print.step(
    `Ada, Grace, ${POSTS} posts, all connections used once`,
    '',
    performance.now() - begun,
    'Ada follows Grace',
  );
  return { adaId, graceId, postIds };
}

/**
 * Resolves once user-service says of plain SQL what is expected.
 *
 * @throws Error that says why it does not
 */
async function sqlIsHeard(
  { network, http }: Story,
  isExpected: (heard: HeardSql) => boolean,
): Promise<void> {
  const url = `${network.urlOf('user-service')}/sql`;
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { body } = await http.mustSend<HeardSql>('GET', url);
    if (isExpected(body)) return;
    if (performance.now() > deadline) {
      throw new Error(`user-service hears no plain SQL: ${body.fault}`);
    }
  }
}
