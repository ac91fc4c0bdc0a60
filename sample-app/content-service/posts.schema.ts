/** No foreign key for the author, who is a row of another service. */
export const POSTS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS sample_posts (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "authorId" integer NOT NULL,
    title text NOT NULL,
    archived boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1
  )`;
