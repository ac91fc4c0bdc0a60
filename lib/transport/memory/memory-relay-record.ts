import type {
  ForwardedMessage,
  RelayRecord,
  RelayState,
} from '../relay-record.js';
import type { InMemoryChannel } from './in-memory-channel.js';

/** What a channel in memory keeps of one relay. @internal */
export interface KeptRelay {
  offset: string | null;
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
    const { offset, foreign } = this.#kept;
    return { offset, foreign };
  }

  async forward(
    from: string | null,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<boolean> {
    this.reach();
    const isForeign = messages.some(({ foreign }) => foreign);
    if (this.#kept.offset !== from) return false;
    if (isForeign && this.#kept.holder !== this.id) return false;
    for (const { payload } of messages) this.channel.append(payload);
    this.#kept.offset = to;
    this.#kept.foreign ||= isForeign;
    return true;
  }

  async prove(offset: string, age: number): Promise<boolean> {
    this.reach();
    if (this.#kept.offset !== offset) return false;
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
}
