import type { User } from '../../user-service/user.js';
import {
  applied,
  GATEWAYS,
  keep,
  publishedBy,
  read,
  type Cast,
  type Story,
} from './story.js';

/** Id of no user. */
const NOBODY = 999_999_999;

const show = ({ name, version }: User): string =>
  `"${name}", version ${version}`;

/** Updates two users in one transaction, which fails at the second, then one that succeeds. */
export async function rollback(
  story: Story,
  { adaId, graceId }: Cast,
): Promise<void> {
  const { network, http, claims, print } = story;
  print.heading('An update fails in the middle of its transaction');
  const path = `/users/${graceId}`;
  const users = `${network.urlOf('user-service')}/users`;
  const row = async (): Promise<User> =>
    (await http.mustSend<User>('GET', `${users}/${graceId}`)).body;
  const before = await row();
  for (const gateway of GATEWAYS) await keep(story, gateway, path);
  const published = await publishedBy(story);

  const failure = await http.send('PUT', users, {
    users: [
      { id: graceId, name: 'Rear Admiral Hopper' },
      { id: NOBODY, name: 'Nobody' },
    ],
  });
  print.step(
    `PUT user-service/users (${graceId} and ${NOBODY})`,
    '',
    failure.ms,
    `HTTP ${failure.status}`,
  );
  const afterwards = (await publishedBy(story)) - published;
  print.text(`messages published by user-service: ${afterwards}`);
  const copies = [];
  for (const gateway of GATEWAYS) {
    copies.push(await read(story, gateway, path, show));
  }
  const after = await row();
  claims.check(
    'the row is unchanged',
    failure.status === 404 &&
      after.name === before.name &&
      after.version === before.version,
  );
  claims.check('nothing was published', afterwards === 0);
  claims.check(
    'both gateways keep their copy',
    copies.every(
      ({ source, body }) => source === 'L1' && body.version === before.version,
    ),
  );

  const success = await http.mustSend<User[]>('PUT', users, {
    users: [
      { id: graceId, name: 'Rear Admiral Hopper' },
      { id: adaId, name: 'Countess Lovelace' },
    ],
  });
  print.step(
    `PUT user-service/users (${graceId} and ${adaId})`,
    '',
    success.ms,
    `HTTP ${success.status}`,
  );
  const told = (await publishedBy(story)) - published;
  print.text(`messages published by user-service: ${told}`);
  const fresh = [];
  for (const gateway of GATEWAYS) {
    await applied(story, gateway, success);
    fresh.push(await read(story, gateway, path, show));
  }
  claims.check(
    'a commit is published, and both gateways read the new row',
    told > 0 && fresh.every(({ body }) => body.version === before.version + 1),
  );
}
