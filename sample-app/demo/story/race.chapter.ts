import type { Post } from '../../content-service/post.js';
import type { Answer } from '../http.client.js';
import { applied, GATEWAYS, read, type Cast, type Story } from './story.js';

const show = ({ title, version }: Post): string =>
  `"${title}", version ${version}`;

/**
 * The gateway loads a row; before the answer arrives, the row is changed and all
 * gateways receive the message. The answer is old then, and no later message would
 * evict it.
 */
export async function race(
  story: Story,
  { postIds: [, id] }: Cast,
): Promise<void> {
  const { network, http, claims, print } = story;
  print.heading('A slow read is overtaken by an update');
  const path = `/posts/${id}`;
  const hold = network.slowRoad.hold(path);
  const late = http.mustSend<Post>('GET', `${network.urlOf('gateway')}${path}`);
  let update: Answer<Post>;
  try {
    await Promise.race([hold.arrived, late.then(alreadyThere)]);
    print.text(`GET gateway${path} ... content-service has read the row`);
    update = await http.mustSend<Post>(
      'PUT',
      `${network.urlOf('content-service')}${path}`,
      { title: 'Second edition' },
    );
    print.step(`PUT content-service${path}`, '', update.ms, show(update.body));
    for (const gateway of GATEWAYS) await applied(story, gateway, update);
    print.text(
      '... both gateways have applied the update, and now the old row arrives',
    );
  } finally {
    hold.release();
  }
  const { source, ms, body } = await late;
  print.step(`GET gateway${path}`, source, ms, show(body));
  const next = await read(story, 'gateway', path, show);
  const other = await read(story, 'gateway-2', path, show);
  const last = await read(story, 'gateway', path, show);
  const { version } = update.body;
  claims.check(
    'the read that began before the update got the old row',
    body.version === version - 1,
  );
  claims.check(
    'the old row was not kept: the next read loaded the new one',
    next.source === 'MISS' && next.body.version === version,
  );
  claims.check(
    'the new row is kept, and the other gateway has it too',
    last.source === 'HIT' &&
      last.body.version === version &&
      other.body.version === version,
  );
}

function alreadyThere(): never {
  throw new Error('The gateway had a copy of that post: there was no race.');
}
