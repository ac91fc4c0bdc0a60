import type { InvalidationSourceStatus } from './invalidation-sources.js';
import type { MetricDefinition } from './metric-definition.js';

const PARTS = ['off', 'holder', 'standby', 'away'] as const;

/** Metrics of sources that are no regions. @internal */
export const SOURCE_METRICS: readonly MetricDefinition[] = [
  {
    name: 'source_state',
    help: 'The part of this instance in a source such as PostgreSQL: 1 for the one it has.',
    kind: 'gauge',
    label: ['source', 'state'],
    read: ({ sources }) =>
      sources.all.flatMap((source) => {
        const { state } = source.status();
        return PARTS.map(
          (part) => [[source.name, part], state === part ? 1 : 0] as const,
        );
      }),
  },
  {
    name: 'source_staleness',
    help: 'Time since all changes of a source were last known to have arrived here.',
    kind: 'gauge',
    unit: 'seconds',
    label: 'source',
    *read({ sources }) {
      for (const source of sources.all) {
        const age = sources.ageOf(source);
        if (age !== undefined) yield [source.name, age / 1_000];
      }
    },
  },
  ofSources(
    'holder_seen',
    'seconds',
    'Time since this instance last saw that some instance reads the source.',
    ({ holderSeen }) => holderSeen,
  ),
  ofSources(
    'lag',
    'seconds',
    'Age of the oldest change that is not announced yet.',
    ({ lagMs }) => lagMs,
  ),
  ofSources(
    'backlog',
    'bytes',
    "Part of the source's log that is not announced yet.",
    ({ lagBytes }) => lagBytes,
  ),
  ofSources(
    'retained',
    'bytes',
    'Part of its log that the source keeps for its readers.',
    ({ retainedBytes }) => retainedBytes,
  ),
  ofSources(
    'spare',
    'bytes',
    'Size that the log may grow by before the source does not keep it any more.',
    ({ spareBytes }) => spareBytes,
  ),
  ofSources(
    'waiting',
    null,
    "Entries of the source's outbox that wait.",
    ({ waiting }) => waiting,
  ),
  {
    ...ofSources(
      'transactions',
      null,
      'Transactions that this instance has read from the source.',
      ({ transactions }) => transactions,
    ),
    kind: 'counter',
  },
  {
    ...ofSources(
      'rows',
      null,
      'Changed rows that this instance has read from the source.',
      ({ rows }) => rows,
    ),
    kind: 'counter',
  },
  {
    name: 'source_widened',
    help: 'How often this instance invalidated whole types for changes of a source, by cause.',
    kind: 'counter',
    label: ['source', 'cause'],
    read: ({ sources }) =>
      sources.all.flatMap((source) => {
        const { widened } = source.status();
        return source.causes.map(
          (cause) => [[source.name, cause], widened[cause] ?? 0] as const,
        );
      }),
  },
];

/** @param valueOf in bytes or milliseconds; `null` for none */
function ofSources(
  name: string,
  unit: MetricDefinition['unit'] | null,
  help: string,
  valueOf: (status: InvalidationSourceStatus) => number | null,
): MetricDefinition {
  return {
    name: `source_${name}`,
    help,
    kind: 'gauge',
    ...(unit === null ? {} : { unit }),
    label: 'source',
    *read({ sources }) {
      for (const source of sources.all) {
        const value = valueOf(source.status());
        if (value === null) continue;
        yield [source.name, unit === 'seconds' ? value / 1_000 : value];
      }
    },
  };
}
