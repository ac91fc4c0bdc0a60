import { PostgresLink } from '../pg/postgres-link.js';
import type { GivenSource } from '../pg/postgres-settings.js';
import type { Check } from './finding.js';
import { postgresChecks } from './postgres-checks.js';
import { PostgresView } from './postgres-view.js';
import { triggerChecks } from './trigger-checks.js';
import { TriggerView } from './trigger-view.js';

/** Checks of a PostgreSQL source, of either mode, on a connection of their own. @internal */
export interface SourceChecks {
  readonly checks: readonly Check[];
  close(): void;
}

/** @param timeout milliseconds that PostgreSQL may take to answer @internal */
export function sourceChecks(
  source: GivenSource,
  timeout: number,
): SourceChecks {
  const link = new PostgresLink(source.url, timeout);
  const checks =
    source.mode === 'wal'
      ? postgresChecks(new PostgresView(link, source.names))
      : triggerChecks(new TriggerView(link, source.names));
  return { checks, close: () => link.close() };
}
