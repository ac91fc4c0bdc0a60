import type { ServiceState } from '../../shared/operations/service.state.js';
import type { InstanceName } from '../../shared/services.js';

/** What the page is told: whatever is newer than what it has. */
export interface Frame {
  /** The wall clock here, in milliseconds. */
  readonly now: number;
  /** How many messages came over the bus since this gateway started. */
  readonly total: number;
  /** The newest of those that the page has not shown, oldest first. */
  readonly messages: readonly ShownMessage[];
  readonly services: readonly ServiceView[];
  readonly latencies: readonly LatencyPoint[];
  /** All that there are, if they have changed; else `null`. */
  readonly copies: readonly CutCopy[] | null;
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
  /**
   * Why that is no latency of the bus: `replayed` from the journal after Redis was
   * away from this page, `held` in an outbox while it was away from the publisher;
   * `null` if it is one.
   */
  readonly late: 'replayed' | 'held' | null;
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
  /** Messages that were measured. */
  readonly count: number;
  /** Messages that came late because Redis was away, and were not measured. */
  readonly late: number;
  /** `null` if none was measured. */
  readonly p50: number | null;
  readonly p99: number | null;
}

/** What a gateway that is, or was, cut off serves of a row that was changed. */
export interface CutCopy {
  readonly gateway: InstanceName;
  /** `user:1` */
  readonly key: string;
  readonly owner: InstanceName;
  /** What the gateway serves: `“Grace”, version 2`. */
  readonly served: string;
  /** The row. */
  readonly row: string;
  readonly isOld: boolean;
}
