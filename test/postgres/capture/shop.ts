import { entity, pattern } from 'nestjs-cache-invalidation';
import type { CaptureOptions } from 'nestjs-cache-invalidation/postgres';
import { beforeEach } from 'vitest';
import { said, startApp } from '../../support/app.js';
import type { PostgresServer } from '../../support/postgres.js';
import { useServer } from '../setup.js';

/** A key of `posts`. */
export const POST = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';

const DEFINITIONS = `
CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, team text);
CREATE TABLE posts (id uuid PRIMARY KEY DEFAULT md5(random()::text)::uuid, title text NOT NULL,
  author_id integer NOT NULL REFERENCES users ON DELETE CASCADE);
CREATE TABLE memberships (user_id integer, team_id text, role text NOT NULL,
  PRIMARY KEY (user_id, team_id));
CREATE TABLE notes (id integer PRIMARY KEY, text text);
CREATE TABLE codes (code varchar(8) PRIMARY KEY, day date);
CREATE TABLE moments (at timestamp PRIMARY KEY);
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, state text);`;

const ROWS = `
TRUNCATE users, posts, memberships, notes, codes, moments, shop.orders RESTART IDENTITY;
INSERT INTO users (name, team) VALUES ('Ada', 'red'), ('Bob', 'red'), ('Cleo', 'blue');
INSERT INTO posts VALUES ('${POST}', 'Hello', 1);
INSERT INTO memberships VALUES (1, 'red', 'owner'), (2, 'red', 'guest');
INSERT INTO notes VALUES (1, 'Note');
INSERT INTO codes VALUES ('ab', '2026-01-31');
INSERT INTO moments VALUES ('2026-01-31 12:00');
INSERT INTO shop.orders VALUES (7, 'new');`;

export const TABLES: CaptureOptions['tables'] = {
  'public.users': 'User',
  'public.posts': 'Post',
  'public.memberships': {
    map: ({ team_id }) => pattern(`team:${String(team_id)}:*`),
    types: ['team'],
  },
  'public.codes': ({ code }) => entity('Code', String(code)),
  'public.moments': 'Moment',
  'shop.orders': 'Order',
};

/** A server with some tables, whose rows are the same before each test. */
export function useShop(): () => PostgresServer {
  const server = useServer();
  let isMade = false;
  beforeEach(async () => {
    if (!isMade) await server().sql(DEFINITIONS);
    isMade = true;
    await server().sql(ROWS);
  });
  return server;
}

export interface Listener {
  readonly options: CaptureOptions;
  /** Announcements until a write has resolved, sorted, after its error if it fails. */
  heard(write: () => PromiseLike<unknown>): Promise<string[]>;
}

/** An application that listens to the writes that it captures. */
export async function startListener(
  options: Partial<CaptureOptions> = {},
): Promise<Listener> {
  const { publisher, messages } = await startApp();
  return {
    options: { publisher, tables: TABLES, ...options },
    heard: async (write) => {
      const from = messages.length;
      const errors: string[] = [];
      try {
        await write();
      } catch (error) {
        errors.push((error as Error).message);
      }
      return [...errors, ...messages.slice(from).map(said).toSorted()];
    },
  };
}
