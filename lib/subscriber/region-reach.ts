import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { withDeadline } from '../common/index.js';
import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import { InvalidationTransport, type RelayRecord } from '../transport/index.js';
import { OffsetWaiters } from './offset-waiters.js';
import { PositionTracker } from './position-tracker.js';
import type { WatchedRegions } from './staleness.js';

/** Milliseconds between two looks at a record that calls wait for. */
const LOOK_MS = 20;

/** Calls that wait for one source, which share the looks at its record. */
interface Awaited {
  readonly record: RelayRecord;
  readonly waiters: OffsetWaiters;
  looking: boolean;
}

/**
 * Waits until this instance has applied what a source had published up to an offset of
 * the source's own journal.
 *
 * @internal
 */
@Injectable()
export class RegionReach {
  readonly #sources: ReadonlyMap<string, Awaited>;
  /** One more with each connection: what an earlier one has answered is asked again. */
  #session = 0;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) { regions }: WatchedRegions,
    private readonly transport: InvalidationTransport,
    private readonly tracker: PositionTracker,
  ) {
    this.#sources = new Map(
      Object.keys(regions?.sources ?? {}).map((source) => [
        source,
        {
          record: transport.relayRecord(source, ''),
          waiters: new OffsetWaiters(),
          looking: false,
        },
      ]),
    );
  }

  /**
   * @param timeout in milliseconds
   * @returns whether the region is a source
   * @throws InvalidationTimeoutError if it has not come so far by then
   */
  async reached(
    source: string,
    offset: string,
    timeout: number,
  ): Promise<boolean> {
    const awaited = this.#sources.get(source);
    if (awaited === undefined) return false;
    const deadline = performance.now() + timeout;
    const left = (): number =>
      Math.ceil(Math.max(0, deadline - performance.now()));
    let session: number;
    do {
      session = this.#session;
      const forwarded = awaited.waiters.wait(offset, left());
      void this.#look(awaited);
      await forwarded;
      // Read after the record: everything that was forwarded is before this end.
      const tail = await this.#tail(left(), timeout);
      await this.tracker.reached(tail, left());
    } while (session !== this.#session);
    return true;
  }

  /** Redis may be another server now, which has lost what the last one had. */
  forget(): void {
    this.#session++;
  }

  async #tail(left: number, timeout: number): Promise<string> {
    const late = (): Error =>
      new InvalidationTimeoutError(
        `Redis has not said within ${timeout} ms where its journal ends.`,
        'What this instance has cached may be old; read from the source, or try again.',
        timeout,
      );
    try {
      return await withDeadline(left, this.transport.journalTail(), late);
    } catch (error) {
      if (error instanceof InvalidationTimeoutError) throw error;
      throw new InvalidationRedisError(
        `The end of the journal could not be read: ${describeCause(error as Error)}.`,
        'What this instance has cached may be old; read from the source, or try again.',
        error,
      );
    }
  }

  close(): void {
    for (const { waiters } of this.#sources.values()) waiters.close();
  }

  /** Looks at the record for as long as calls wait. */
  async #look(awaited: Awaited): Promise<void> {
    if (awaited.looking) return;
    awaited.looking = true;
    while (awaited.waiters.any) {
      const session = this.#session;
      try {
        const { offset } = (await awaited.record.read()).place;
        const isCurrent = session === this.#session;
        if (offset !== null && isCurrent) awaited.waiters.reached(offset);
      } catch {
        // Redis is away: the calls wait until their time is up.
      }
      if (awaited.waiters.any) await delay(LOOK_MS, undefined, { ref: false });
    }
    awaited.looking = false;
  }
}
