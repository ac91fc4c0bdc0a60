import type { ServiceState } from '../../shared/operations/service.state.js';
import type { InstanceName } from '../../shared/services.js';

/** One update of the page, with everything that is newer than its last one. */
export interface Frame {
  /** The gateway's wall clock, in milliseconds. */
  readonly now: number;
  /** Messages received since this gateway started. */
  readonly total: number;
  /** The newest messages that the page has not shown, oldest first. */
  readonly messages: readonly ShownMessage[];
  readonly services: readonly ServiceView[];
  readonly latencies: readonly LatencyPoint[];
  /** All old copies, if they have changed; else `null`. */
  readonly copies: readonly CutCopy[] | null;
}

export interface ShownMessage {
  /** Number of the message. */
  readonly number: number;
  /** Time of the publish, RFC 3339. */
  readonly at: string;
  readonly source: string;
  /** The region where it was born; `null` for one of the page's own region. */
  readonly region: string | null;
  readonly action: string;
  /** `user:1`, `feed:*`, `user:1, user:2 and 5 more`. */
  readonly says: string;
  /** Why the message was widened; `null` if it was not. */
  readonly widened: string | null;
  /** Latency from the publisher to this gateway, in milliseconds. */
  readonly latency: number;
  /**
   * Why the latency is not measured: the message was `replayed` from the journal,
   * after Redis was away from this page, or `held` in an outbox, while Redis was away
   * from the publisher; `null` if it is measured.
   */
  readonly late: 'replayed' | 'held' | null;
}

export interface ServiceView {
  readonly name: InstanceName;
  /** `asked`: has not answered yet; `away`: does not answer. */
  readonly state: ServiceState | 'asked' | 'away';
}

/** Latencies of the messages of one second, in milliseconds. */
export interface LatencyPoint {
  /** Seconds since the epoch. */
  readonly second: number;
  /** Number of measured messages. */
  readonly count: number;
  /** Number of messages that were late because Redis was away, and not measured. */
  readonly late: number;
  /** `null` if none was measured. */
  readonly p50: number | null;
  readonly p99: number | null;
}

/** The copy of a changed row in a gateway that is, or was, cut off. */
export interface CutCopy {
  readonly gateway: InstanceName;
  /** `user:1` */
  readonly key: string;
  readonly owner: InstanceName;
  /** Value that the gateway serves: `“Grace”, version 2`. */
  readonly served: string;
  /** The row, in the same form. */
  readonly row: string;
  readonly isOld: boolean;
}
