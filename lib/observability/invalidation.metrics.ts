import { Injectable } from '@nestjs/common';
import type { NearCacheFactory, NearCacheStats } from '../cache/index.js';
import type { InvalidationPublisher } from '../publisher/index.js';
import type { CountedWidening } from '../stream/index.js';
import type { InvalidationSubscriber } from '../subscriber/index.js';
import type {
  InvalidationCounts,
  InvalidationStats,
} from './invalidation.stats.js';
import type { LatencyRecorder } from './latency.recorder.js';

/** The sources of the metrics. @internal */
export interface MetricSource {
  readonly stats: Pick<InvalidationStats, 'totals' | 'widenedBy' | 'latencies'>;
  readonly publisher: Pick<InvalidationPublisher, 'outboxSize'>;
  readonly subscriber: Pick<
    InvalidationSubscriber,
    'status' | 'staleness' | 'lag'
  >;
  readonly nearCaches: Pick<NearCacheFactory, 'stats'>;
}

/** By the value of its label, or under '' where it has none. @internal */
export type MetricValues = Iterable<readonly [label: string, value: number]>;

/** A metric that is read when somebody asks. @internal */
export interface MetricDefinition {
  /** Without the prefix and the endings that a system of metrics gives it. */
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly unit?: 'seconds';
  /** Its values are few: never an entity's id. */
  readonly label?: 'cause' | 'state' | 'cache';
  readonly read: (source: MetricSource) => MetricValues;
}

/** A metric that is recorded each time. @internal */
export interface LatencyDefinition {
  readonly name: string;
  readonly help: string;
  readonly of: (source: MetricSource) => LatencyRecorder;
}

const STATES = [
  'connecting',
  'live',
  'catching-up',
  'disconnected',
  'stopped',
] as const;

/** Each from the start on: a rate takes a zero to begin at. */
const CAUSES = Object.keys({
  cascade: 0,
  'handler-overflow': 0,
  missed: 0,
  'not-understood': 0,
  'outbox-overflow': 0,
  reconnected: 0,
  'scope-overflow': 0,
  stale: 0,
  'started-late': 0,
} satisfies Record<CountedWidening, 0>) as CountedWidening[];

/** @internal */
export const METRICS: readonly MetricDefinition[] = [
  count('published', 'Own messages that Redis took.'),
  count('queued', 'Own messages that had to wait for Redis.'),
  count(
    'publish_errors',
    'Publishes that failed or were not answered in time; a pipeline counts once.',
    'publishErrors',
  ),
  count('received', 'Messages of other instances that arrived.'),
  count('replayed', 'Missed messages that were read from the journal.'),
  count('delivered', "Messages handed to this instance's consumers."),
  count('malformed', 'Payloads on the channel that were no message.'),
  count(
    'processing_errors',
    "Handlers and selectors of the application's that threw.",
    'handlerErrors',
  ),
  count(
    'reconnects',
    'How often the subscription stood again after it was lost.',
  ),
  {
    name: 'widened',
    help: 'How often something coarser was said on purpose, by cause.',
    kind: 'counter',
    label: 'cause',
    read: ({ stats: { widenedBy } }) =>
      CAUSES.map((cause) => [cause, widenedBy.get(cause) ?? 0] as const),
  },
  {
    name: 'outbox_size',
    help: 'Own messages that wait for Redis now.',
    kind: 'gauge',
    read: ({ publisher }) => only(publisher.outboxSize),
  },
  {
    name: 'journal_lag',
    help: "How far this instance is behind the journal's end, as last read.",
    kind: 'gauge',
    unit: 'seconds',
    read: ({ subscriber }) => only(subscriber.lag() / 1_000),
  },
  {
    name: 'staleness',
    help: 'How long ago this instance last knew that it had heard everything.',
    kind: 'gauge',
    unit: 'seconds',
    read: ({ subscriber }) => only(subscriber.staleness() / 1_000),
  },
  {
    name: 'status',
    help: 'The state of the subscription: 1 for the one it is in.',
    kind: 'gauge',
    label: 'state',
    read: ({ subscriber: { status } }) =>
      STATES.map((state) => [state, status.state === state ? 1 : 0] as const),
  },
  ofCaches('hits', 'Reads of near caches that were answered from memory.'),
  ofCaches('misses', 'Reads of near caches that were not.'),
  ofCaches('loads', 'Calls of loaders of near caches.'),
  ofCaches(
    'overtaken',
    'Loaded values that an invalidation had overtaken: returned, not kept.',
  ),
  ofCaches('l2_hits', 'What near caches found in Redis.', 'l2Hits'),
  ofCaches(
    'l2_refused',
    'What near caches found in Redis and did not trust.',
    'l2Refused',
  ),
  ofCaches('l2_errors', 'Failures of the tier in Redis.', 'l2Errors'),
  ofCaches(
    'l2_unshared',
    'Loaded values that would not come back from Redis as they are.',
    'l2Unshared',
  ),
  {
    ...ofCaches('size', 'Entries of near caches in memory.'),
    name: 'near_cache_entries',
    kind: 'gauge',
  },
];

/** @internal */
export const LATENCIES: readonly LatencyDefinition[] = [
  {
    name: 'publish_latency',
    help: "From the call of a publish to Redis' answer.",
    of: ({ stats }) => stats.latencies.publish,
  },
  {
    name: 'processing_latency',
    help: 'What a handler or a bound cache took for one message.',
    of: ({ stats }) => stats.latencies.handler,
  },
  {
    name: 'latency',
    help: "End to end, from the publisher's timestamp to the delivery here: two machines' clocks.",
    of: ({ stats }) => stats.latencies.propagation,
  },
];

/**
 * The metrics of one application, for whichever system of metrics.
 *
 * @internal
 */
@Injectable()
export class InvalidationMetrics {
  constructor(
    readonly serviceName: string,
    readonly source: MetricSource,
  ) {}
}

function only(value: number): MetricValues {
  return [['', value]];
}

function count(
  name: string,
  help: string,
  counted = name as keyof InvalidationCounts,
): MetricDefinition {
  return {
    name,
    help,
    kind: 'counter',
    read: ({ stats }) => only(stats.totals[counted]),
  };
}

function ofCaches(
  name: string,
  help: string,
  counted = name as keyof NearCacheStats,
): MetricDefinition {
  return {
    name: `near_cache_${name}`,
    help,
    kind: 'counter',
    label: 'cache',
    *read({ nearCaches }) {
      for (const [cache, stats] of nearCaches.stats()) {
        yield [cache, stats[counted]];
      }
    },
  };
}
