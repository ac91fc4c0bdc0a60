import type { Lsn } from '../../message/index.js';
import { millisecondsOf } from './replication-frame.js';
import type { SlotState } from './replication-slot.js';

/** @internal */
export interface SourceLag {
  /** The part of the log that is not announced yet. */
  readonly bytes: number;
  /**
   * Milliseconds for which the oldest change has not been announced: since it was
   * committed, by the server's clock, or since the log was seen to have it.
   */
  readonly ms: number;
}

/** An end of the log, and when it was read, by `performance.now()`. */
interface AwaitedEnd {
  readonly lsn: Lsn;
  readonly asOf: number;
}

/**
 * Up to where the holder has read and announced the server's log, and where the log ends.
 * Once an end is reached, everything that was visible when it was read has been received.
 *
 * @internal
 */
export class LogProgress {
  /** The end of the server's log, as far as it is known. */
  #end: Lsn;
  /** Everything up to here is in the journal. */
  #handled: Lsn;
  #received: Lsn = 0n;
  /** The earliest end that is not reached. */
  #awaited: AwaitedEnd | null = null;
  /** The server's clock when `performance.now()` was 0, in milliseconds since 1970. */
  #clock: number | null = null;

  constructor(
    start: Lsn,
    /** Everything that was visible at a time by `performance.now()` was received. */
    private readonly onReceived: (asOf: number) => void,
  ) {
    this.#end = start;
    this.#handled = start;
  }

  get handled(): Lsn {
    return this.#handled;
  }

  /** Everything up to here was received. */
  get receivedUpTo(): Lsn {
    return this.#received;
  }

  /**
   * How far announcements are behind the log, as far as is known.
   *
   * @param oldest when the oldest commit was that is received and not announced
   */
  lag(oldest: bigint | null): SourceLag {
    const now = performance.now();
    const sinceCommit =
      oldest === null || this.#clock === null
        ? 0
        : this.#clock + now - millisecondsOf(oldest);
    const sinceSeen = this.#awaited === null ? 0 : now - this.#awaited.asOf;
    return {
      bytes: Number(this.#end - this.#handled),
      ms: Math.max(0, sinceCommit, sinceSeen),
    };
  }

  /** The log goes up to here at least. */
  extend(end: Lsn): void {
    if (end > this.#end) this.#end = end;
  }

  /** Everything up to here is in the journal. */
  recorded(lsn: Lsn): void {
    if (lsn > this.#handled) this.#handled = lsn;
  }

  /** @param asOf what `performance.now()` said before the state was asked for */
  looked({ logEnd, serverTime }: SlotState, asOf: number): void {
    this.extend(logEnd);
    this.#clock = serverTime - asOf;
  }

  /** Waits for an end of the log, unless it waits for an earlier one. */
  await(end: AwaitedEnd): void {
    this.#awaited ??= end;
  }

  /** Everything that was committed up to here was received. */
  received(lsn: Lsn): void {
    this.#received = lsn;
    const awaited = this.#awaited;
    if (awaited === null || lsn < awaited.lsn) return;
    this.#awaited = null;
    this.onReceived(awaited.asOf);
  }
}
