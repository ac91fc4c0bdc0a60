import type {
  ForwardedMessage,
  RelayPlace,
  RelayRecord,
  RelayState,
} from '../relay-record.js';
import type { InMemoryChannel } from './in-memory-channel.js';

/** The record of one relay, as a channel in memory keeps it. @internal */
export interface KeptRelay {
  place: RelayPlace;
  foreign: boolean;
  holder: string | null;
  /** By `performance.now()`; `null` without a proof. */
  provenAt: number | null;
}

/**
 * The record of a relay in memory: the contract of Redis, but the holder stays until it
 * lets go.
 *
 * @internal
 */
export class MemoryRelayRecord implements RelayRecord {
  readonly #kept: KeptRelay;

  /** @param reach throws while the connection is cut */
  constructor(
    private readonly channel: InMemoryChannel,
    source: string,
    private readonly id: string,
    private readonly reach: () => void,
  ) {
    this.#kept = channel.relay(source);
  }

  async read(): Promise<RelayState> {
    this.reach();
    const { place, foreign } = this.#kept;
    return { place, foreign };
  }

  async forward(
    from: RelayPlace,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<RelayPlace | null> {
    this.reach();
    const isForeign = messages.some(({ kind }) => kind === 'foreign');
    if (!this.#isAt(from)) return null;
    if (isForeign && this.#kept.holder !== this.id) return null;
    for (const { payload } of messages) this.channel.append(payload);
    const restarts = messages.filter(({ kind }) => kind !== 'next').length;
    this.#kept.place = {
      offset: to,
      restarts: from.restarts + restarts,
    };
    this.#kept.foreign ||= isForeign;
    return this.#kept.place;
  }

  async prove(place: RelayPlace, age: number): Promise<boolean> {
    this.reach();
    if (!this.#isAt(place)) return false;
    this.#kept.provenAt = performance.now() - age;
    return true;
  }

  async proofAge(): Promise<number | null> {
    this.reach();
    const { provenAt } = this.#kept;
    return provenAt === null ? null : performance.now() - provenAt;
  }

  async hold(): Promise<boolean> {
    this.reach();
    this.#kept.holder ??= this.id;
    return this.#kept.holder === this.id;
  }

  async release(): Promise<void> {
    this.reach();
    if (this.#kept.holder === this.id) this.#kept.holder = null;
  }

  #isAt({ offset, restarts }: RelayPlace): boolean {
    const { place } = this.#kept;
    return place.offset === offset && place.restarts === restarts;
  }
}
