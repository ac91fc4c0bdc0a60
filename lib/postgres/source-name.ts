import type { PostgresSourceOptions } from './postgres.options.js';

/** The name of a source in its record, in health and in metrics. @internal */
export function sourceName({
  mode,
  slot,
  outbox,
}: PostgresSourceOptions): string {
  return mode === 'triggers'
    ? `postgres-triggers:${outbox}`
    : `postgres:${slot}`;
}
