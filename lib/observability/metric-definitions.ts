import type { NearCacheStats } from '../cache/index.js';
import type { RegionRelay } from '../regions/index.js';
import type { UnverifiedReason } from '../signing/index.js';
import type { CountedWidening } from '../stream/index.js';
import type { InvalidationCounts } from './invalidation-counters.js';
import type { InvalidationMetrics } from './invalidation-metrics.js';
import type { LatencyRecorder } from './latency-recorder.js';
import type { MetricDefinition, MetricValues } from './metric-definition.js';
import { SOURCE_METRICS } from './source-metrics.js';

/** A histogram, recorded at each measurement. @internal */
export interface LatencyDefinition {
  readonly name: string;
  readonly help: string;
  readonly of: (metrics: InvalidationMetrics) => LatencyRecorder;
}

const STATES = [
  'connecting',
  'live',
  'catching-up',
  'disconnected',
  'stopped',
] as const;

/** Causes, reported as zero from the start: a rate needs a first value. */
const CAUSES = Object.keys({
  cascade: 0,
  'handler-overflow': 0,
  missed: 0,
  'new-connection': 0,
  'not-understood': 0,
  'outbox-overflow': 0,
  reconnected: 0,
  'scope-overflow': 0,
  stale: 0,
  'started-late': 0,
  unverified: 0,
} satisfies Record<CountedWidening, 0>) as CountedWidening[];

const REASONS = Object.keys({
  'bad-mac': 0,
  'bad-seal': 0,
  oversized: 0,
  'unknown-key': 0,
  unsigned: 0,
} satisfies Record<UnverifiedReason, 0>) as UnverifiedReason[];

/** @internal */
export const METRICS: readonly MetricDefinition[] = [
  count('published', 'Messages of this instance that Redis accepted.'),
  count('queued', 'Messages of this instance that had to wait for Redis.'),
  count(
    'publish_errors',
    'Publishes that failed or were not answered in time; a pipeline counts once.',
    'publishErrors',
  ),
  count('received', 'Messages of other instances that arrived.'),
  count('replayed', 'Missed messages that were read from the journal.'),
  count('delivered', "Messages handed to this instance's consumers."),
  count('malformed', 'Payloads on the channel that were not a valid message.'),
  count(
    'processing_errors',
    "Calls of the application's handlers and selectors that threw.",
    'handlerErrors',
  ),
  count(
    'reconnects',
    'How often the subscription was restored after it was lost.',
  ),
  {
    name: 'widened',
    help: 'How often a coarser invalidation was published or delivered on purpose, by cause.',
    kind: 'counter',
    label: 'cause',
    read: ({ counters: { widenedBy } }) =>
      CAUSES.map((cause) => [cause, widenedBy.get(cause) ?? 0] as const),
  },
  {
    name: 'unverified',
    help: 'Messages that were not obeyed, since they could not be verified, by reason.',
    kind: 'counter',
    label: 'reason',
    read: ({ counters: { unverifiedBy } }) =>
      REASONS.map((reason) => [reason, unverifiedBy.get(reason) ?? 0] as const),
  },
  {
    name: 'outbox_size',
    help: 'Messages of this instance that wait for Redis now.',
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
    help: 'Time since this instance was last known to be up to date.',
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
  {
    name: 'relay_lag',
    help: 'Time since everything of another region was last known to have arrived here.',
    kind: 'gauge',
    unit: 'seconds',
    label: 'source',
    read: ({ staleness }) =>
      staleness.regionAges.map(
        ([source, age]) => [source, age / 1_000] as const,
      ),
  },
  ofRelays(
    'relay_holder',
    'gauge',
    'Whether this instance relays another region: 1 if it does.',
    ({ isHolder }) => (isHolder ? 1 : 0),
  ),
  ofRelays(
    'relayed',
    'counter',
    'Messages of another region that this instance has published in its own.',
    ({ log }) => log.forwarded,
  ),
  ofRelays(
    'relay_widened',
    'counter',
    'How often this instance published "everything" in the place of messages of another region.',
    ({ log }) => [...log.widenedBy.values()].reduce((sum, n) => sum + n, 0),
  ),
  ...SOURCE_METRICS,
  ofCaches('hits', 'Reads of near caches that were answered from memory.'),
  ofCaches(
    'misses',
    'Reads of near caches that were not answered from memory.',
  ),
  ofCaches('loads', 'Calls of loaders of near caches.'),
  ofCaches(
    'overtaken',
    'Loaded values that an invalidation had overtaken: returned, not kept.',
  ),
  ofCaches(
    'behind',
    'Values of a read replica that may not have had their last change: returned, not kept.',
  ),
  ofCaches(
    'primary_loads',
    'Loads that the primary answered in place of a read replica.',
    'primaryLoads',
  ),
  ofCaches('l2_hits', 'Entries that near caches found in Redis.', 'l2Hits'),
  ofCaches(
    'l2_refused',
    'Entries that near caches found in Redis and did not trust.',
    'l2Refused',
  ),
  ofCaches('l2_errors', 'Failures of the tier in Redis.', 'l2Errors'),
  ofCaches(
    'l2_unshared',
    'Loaded values that Redis could not return unchanged.',
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
    help: 'Time from the call of a publish to the answer of Redis.',
    of: ({ counters }) => counters.latencies.publish,
  },
  {
    name: 'processing_latency',
    help: 'Time that a handler or a bound cache took for one message.',
    of: ({ counters }) => counters.latencies.handler,
  },
  {
    name: 'latency',
    help: "Time from the publisher's timestamp to the delivery here: two machines' clocks.",
    of: ({ counters }) => counters.latencies.propagation,
  },
];

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
    read: ({ counters }) => only(counters.totals[counted]),
  };
}

function ofRelays(
  name: string,
  kind: MetricDefinition['kind'],
  help: string,
  valueOf: (relay: RegionRelay) => number,
): MetricDefinition {
  const read: MetricDefinition['read'] = ({ regions }) =>
    regions.relays.map((relay) => [relay.source, valueOf(relay)] as const);
  return { name, help, kind, label: 'source', read };
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
