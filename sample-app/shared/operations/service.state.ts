import type {
  InvalidationHealthReport,
  InvalidationStatsSnapshot,
  NearCacheStats,
  SubscriptionState,
} from 'nestjs-cache-invalidation';

/** What a service says of itself. */
export interface ServiceState {
  readonly health: InvalidationHealthReport;
  readonly stats: InvalidationStatsSnapshot;
  readonly caches: Readonly<Record<string, NearCacheStats>>;
  /** The last states of its subscription, the current one included. */
  readonly states: readonly PastState[];
  /** Its way to Redis; `null` where that cannot be cut. */
  readonly link: 'up' | 'cut' | null;
}

export interface PastState {
  readonly state: SubscriptionState;
  /** Milliseconds: how long it was, or has been, in it. */
  readonly for: number;
}
