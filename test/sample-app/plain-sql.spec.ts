import type { INestApplication } from '@nestjs/common';
import { InvalidationStats } from 'nestjs-cache-invalidation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HttpClient } from '../../sample-app/demo/http.client.js';
import { dropSlot } from '../../sample-app/demo/slot.js';

import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import type { HeardSql } from '../../sample-app/user-service/source.controller.js';
import type { User } from '../../sample-app/user-service/user.js';
import { UserServiceModule } from '../../sample-app/user-service/user-service.module.js';
import { eventually } from '../support/eventually.js';
import { startPostgres, type PostgresServer } from '../support/postgres.js';
import { Stage } from './stage.js';

const http = new HttpClient();

/**
 * Starts both services with a user "Ada", runs the script, and reads until the gateway has
 * the new row.
 *
 * @returns the name that the gateway has
 */
async function nameAfter(by: string, databaseUrl = ''): Promise<string> {
  const stage = new Stage();
  stage.set('DATABASE_URL', databaseUrl);
  try {
    const service = await stage.start('user-service', UserServiceModule);
    const gateway = await stage.start('gateway', GatewayModule);
    return await heardThrough(service, gateway, by);
  } finally {
    await stage.close();
  }
}

async function heardThrough(
  service: INestApplication,
  gateway: INestApplication,
  by: string,
): Promise<string> {
  const [users, copies] = [await service.getUrl(), await gateway.getUrl()];
  const heard = async (): Promise<HeardSql> =>
    (await http.mustSend<HeardSql>('GET', `${users}/sql`)).body;
  // A slot has what is committed once it is made.
  await eventually(async () =>
    expect(await heard()).toMatchObject({ by, hears: true, fault: null }),
  );
  const { body: user } = await http.mustSend<User>('POST', `${users}/users`, {
    name: 'Ada',
  });
  // The announcement of the new row must not pass for one of the script.
  await eventually(async () =>
    expect(await heard()).toMatchObject({ rows: 1 }),
  );
  const read = () => http.send<User>('GET', `${copies}/users/${user.id}`);
  await eventually(async () => expect((await read()).source).toBe('L1'));
  expect((await read()).body).toEqual(user);
  const { published } = service.get(InvalidationStats).snapshot();

  await http.mustSend('POST', `${users}/sql/capitals`);
  const changed = { id: user.id, name: 'ADA', version: 2 };
  await eventually(async () => expect((await read()).body).toEqual(changed));
  // The decorators have published nothing.
  expect(service.get(InvalidationStats).snapshot().published).toBe(published);
  await eventually(async () => expect((await heard()).rows).toBe(2));
  return (await read()).body.name;
}

describe('Sample app: plain SQL', () => {
  it('is heard by triggers on the embedded PGlite', async () => {
    expect(await nameAfter('triggers (PGlite has no slots)')).toBe('ADA');
  }, 60_000);

  describe('on a server', () => {
    let server: PostgresServer;

    beforeAll(async () => {
      server = await startPostgres();
      await server.sql(
        'create role plain login; create role app login replication; grant create on schema public to plain, app; grant create on database postgres to app',
      );
    }, 60_000);

    afterAll(() => server.stop());

    const urlOf = (role: string) => server.url.replace('postgres@', `${role}@`);
    const count = async (sql: string) => (await server.sql(sql)).length;

    it('is heard by logical replication, and the slot goes with the demo', async () => {
      expect(await nameAfter('logical replication', urlOf('app'))).toBe('ADA');
      expect(await count('select from pg_replication_slots')).toBe(1);
      expect(await dropSlot(urlOf('app'))).toBe(true);
      expect(await count('select from pg_replication_slots')).toBe(0);
      expect(await count('select from pg_trigger')).toBe(0);
      await server.sql('drop owned by app');
      await server.sql('grant create on schema public to app');
    });

    it('is heard by triggers where the role may not replicate, and leaves nothing in the outbox', async () => {
      expect(
        await nameAfter(
          'triggers (the role may not replicate and publish)',
          urlOf('plain'),
        ),
      ).toBe('ADA');
      expect(await count('select from sample_users_changes')).toBe(0);
      await server.sql('drop owned by plain');
      await server.sql('grant create on schema public to plain');
    });

    it('needs no triggers any more once the role may replicate', async () => {
      expect(
        await nameAfter(
          'triggers (the role may not replicate and publish)',
          urlOf('plain'),
        ),
      ).toBe('ADA');
      await server.sql(
        'alter role plain replication; grant create on database postgres to plain; truncate sample_users',
      );
      expect(await nameAfter('logical replication', urlOf('plain'))).toBe(
        'ADA',
      );
      expect(await count('select from pg_trigger')).toBe(0);
    });
  });

  it('says so if the slot may be left', async () => {
    expect(await dropSlot('postgres://nobody@127.0.0.1:1/none')).toBe(false);
  });
});
