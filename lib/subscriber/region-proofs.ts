import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { InvalidationTransport, type RelayRecord } from '../transport/index.js';
import { Staleness, type WatchedRegions } from './staleness.js';

/**
 * Learns from this region's Redis when the relays last proved that they had forwarded
 * everything of their sources. Such a proof counts once this instance has proved, after
 * it was asked for, that it has received everything of its own region.
 *
 * @internal
 */
@Injectable()
export class RegionProofs {
  readonly #records: ReadonlyMap<string, RelayRecord>;
  /** When each source was proven, by `performance.now()`. */
  readonly #proven = new Map<string, number>();

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) { regions }: WatchedRegions,
    transport: InvalidationTransport,
    private readonly staleness: Staleness,
  ) {
    this.#records = new Map(
      Object.keys(regions?.sources ?? {}).map((source) => [
        source,
        transport.relayRecord(source, ''),
      ]),
    );
  }

  /** Asks for the latest proofs. Redis answers before it is asked for the journal's end. */
  ask(): void {
    for (const [source, record] of this.#records)
      void this.#ask(source, record);
  }

  /** This instance has received everything of its own region. */
  confirm(): void {
    for (const [source, asOf] of this.#proven) {
      this.staleness.proven(asOf, source);
    }
  }

  async #ask(source: string, record: RelayRecord): Promise<void> {
    const askedAt = performance.now();
    try {
      const age = await record.proofAge();
      if (age !== null) this.#proven.set(source, askedAt - age);
    } catch {
      // The heartbeat reports that Redis does not answer.
    }
  }
}
