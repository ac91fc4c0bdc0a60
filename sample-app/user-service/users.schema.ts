/** Tables with a prefix, for a database that others use too. */
export const USERS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS sample_users (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version integer NOT NULL DEFAULT 1
  );
  CREATE TABLE IF NOT EXISTS sample_users_outbox (
    message_id uuid PRIMARY KEY,
    text text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE INDEX IF NOT EXISTS sample_users_outbox_stored_at
    ON sample_users_outbox (stored_at)`;
