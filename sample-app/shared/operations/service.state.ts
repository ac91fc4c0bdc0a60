import type {
  InvalidationHealthReport,
  InvalidationStatsSnapshot,
  NearCacheStats,
  SubscriptionState,
} from 'nestjs-cache-invalidation';

/** State of a service, as the service reports it. */
export interface ServiceState {
  readonly health: InvalidationHealthReport;
  readonly stats: InvalidationStatsSnapshot;
  readonly caches: Readonly<Record<string, NearCacheStats>>;
  /** The last states of its subscription, the current one included. */
  readonly states: readonly PastState[];
  /** Its link to Redis; `null` if it cannot be cut. */
  readonly link: 'up' | 'cut' | null;
}

export interface PastState {
  readonly state: SubscriptionState;
  /** How long it was, or has been, in this state, in milliseconds. */
  readonly for: number;
}
