/** A name of its own, for a database that others use too. */
export const USERS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS sample_users (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version integer NOT NULL DEFAULT 1
  )`;
