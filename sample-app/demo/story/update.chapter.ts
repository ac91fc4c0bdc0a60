import type { User } from '../../user-service/user.js';
import { read, readUntil, type Cast, type Story } from './story.js';

const show = ({ name, version }: User): string =>
  `"${name}", version ${version}`;

/** Miss, hit, update, fresh read, through both gateways. */
export async function readUpdateRead(
  story: Story,
  { adaId }: Cast,
): Promise<void> {
  const { network, http, print } = story;
  const path = `/users/${adaId}`;
  print.heading('Read a user');
  await read(story, 'gateway', path, show);
  await read(story, 'gateway', path, show);
  await read(story, 'gateway-2', path, show);
  await read(story, 'gateway-2', path, show);

  print.heading('Update the user, read again');
  const url = `${network.urlOf('user-service')}${path}`;
  const update = await http.mustSend<User>('PUT', url, {
    name: 'Ada Lovelace',
  });
  print.step(`PUT user-service${path}`, '', update.ms, show(update.body));
  for (const gateway of ['gateway', 'gateway-2'] as const) {
    await readUntil<User>(
      story,
      gateway,
      path,
      update.ended,
      ({ body }) => body.version === update.body.version,
      ({ body }) => show(body),
    );
  }
}
