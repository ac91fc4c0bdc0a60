import type { ServiceState } from '../../shared/operations/service.state.js';
import type { InstanceName } from '../../shared/services.js';

/** What the page is told: whatever is newer than what it has. */
export interface Frame {
  /** The wall clock here, in milliseconds. */
  readonly now: number;
  /** How many messages this gateway was told of since it started. */
  readonly total: number;
  /** The newest of those that the page has not shown, oldest first. */
  readonly messages: readonly ShownMessage[];
  readonly services: readonly ServiceView[];
  readonly latencies: readonly LatencyPoint[];
}

export interface ShownMessage {
  /** Counts them. */
  readonly number: number;
  /** When it was published, RFC 3339. */
  readonly at: string;
  readonly source: string;
  readonly action: string;
  /** `user:1`, `feed:*`, `user:1, user:2 and 5 more`. */
  readonly says: string;
  /** Why it says more than what was changed; `null` if it does not. */
  readonly widened: string | null;
  /** From its publisher to here, in milliseconds. */
  readonly latency: number;
}

export interface ServiceView {
  readonly name: InstanceName;
  /** `asked`: has not answered yet; `away`: does not answer. */
  readonly state: ServiceState | 'asked' | 'away';
}

/** Of the messages of one second, in milliseconds. */
export interface LatencyPoint {
  /** Since the epoch. */
  readonly second: number;
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}
