import { entity } from 'nestjs-cache-invalidation';
import { ENTITY_TYPES } from '../database.mjs';

/** Version of a row that is not there. */
export const ABSENT = -1;

/** Tables by entity type. */
export const TABLES = Object.fromEntries(
  ENTITY_TYPES.map((type) => [type, `${type.toLowerCase()}_rows`]),
);

export const SCHEMA = Object.values(TABLES)
  .map((table) => `create table ${table} (${columns()});`)
  .join('\n');

/** Columns of each table. */
export function columns() {
  return 'id int primary key, version int not null, note text';
}

/** The option `tables` of the source: one of the tables has a mapper. */
export function mappings(types = ENTITY_TYPES) {
  return Object.fromEntries(
    types.map((type) => [
      `public.${TABLES[type]}`,
      type === 'session'
        ? { map: ({ id }) => entity('session', String(id)), types: ['session'] }
        : type,
    ]),
  );
}
