import { quoteIdentifier } from '../common/index.js';

/** @internal */
export const DEFAULT_OUTBOX = 'public.cache_invalidation_outbox';

/** Whether a text can name an outbox: the names of its triggers are longer. @internal */
export function isOutboxName(value: unknown): boolean {
  return (
    typeof value === 'string' &&
    /^[a-z0-9_]{1,63}\.[a-z0-9_]{1,50}$/.test(value)
  );
}

/** Splits `schema.table` at the first dot. @internal */
export function splitName(name: string): [schema: string, table: string] {
  const dot = name.indexOf('.');
  return [name.slice(0, dot), name.slice(dot + 1)];
}

/** @internal */
export function quoteName(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}
