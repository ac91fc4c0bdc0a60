import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { InvalidationTransport, type RelayRecord } from '../transport/index.js';
import { BlindSources } from './blind-sources.js';
import { Staleness, type WatchedRegions } from './staleness.js';

/** Times by `performance.now()`. */
interface Proof {
  readonly askedAt: number;
  readonly provenAt: number;
}

/**
 * Learns from this region's Redis when it was last proved that everything of a source had
 * been published: by the relay of another region, or by the holder of another source. Such a
 * proof counts once this instance has proved, after it was asked for, that it has received
 * everything of its own region.
 *
 * @internal
 */
@Injectable()
export class SourceProofs {
  readonly #records: Map<string, RelayRecord>;
  /** The latest proof of each source. */
  readonly #proofs = new Map<string, Proof>();

  /** One more with each connection: an earlier answer is ignored. */
  #session = 0;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) { regions }: WatchedRegions,
    transport: InvalidationTransport,
    private readonly staleness: Staleness,
    private readonly blind: BlindSources,
  ) {
    this.#records = new Map(
      Object.keys(regions?.sources ?? {}).map((source) => [
        source,
        transport.relayRecord(source, ''),
      ]),
    );
  }

  /**
   * Counts a source that is no region.
   *
   * @param record where its proofs are
   * @param period milliseconds from one proof to the next
   */
  watch(source: string, record: RelayRecord, period: number): void {
    this.#records.set(source, record);
    this.staleness.watch(source, period);
  }

  /**
   * Asks for the latest proofs.
   *
   * @param askedAt what `performance.now()` says
   */
  ask(askedAt: number): void {
    this.blind.check();
    for (const [source, record] of this.#records) {
      void this.#ask(source, record, askedAt);
    }
  }

  /**
   * This instance has received everything of its own region as of then: also what was
   * published before a proof that was asked for by then.
   */
  confirm(asOf: number): void {
    for (const [source, { askedAt, provenAt }] of this.#proofs) {
      if (askedAt <= asOf) this.staleness.proven(provenAt, source);
    }
    this.blind.check();
  }

  /** Redis may be another server now, which has lost what the last one had. */
  forget(): void {
    this.#session++;
    this.#proofs.clear();
  }

  async #ask(
    source: string,
    record: RelayRecord,
    askedAt: number,
  ): Promise<void> {
    const session = this.#session;
    try {
      const age = await record.proofAge();
      if (age === null || session !== this.#session) return;
      this.#proofs.set(source, { askedAt, provenAt: askedAt - age });
    } catch {
      // The heartbeat reports that Redis does not answer.
    }
  }
}
