import {
  encodeMessage,
  entity,
  Instance,
  JOURNAL_START,
} from '../../lib/message/index.js';
import type { SimulatedNetwork } from './simulated.network.js';

/** Largest plausible lead of a clock; offsets further ahead are not believed. */
const PLAUSIBLE_MS = 50_000;

/**
 * A client with the right to publish on the channel and to read it, or even to
 * write entries into the journal. Its messages affect no cached entry: the only
 * possible harm is that instances take a wrong position in the journal.
 */
export class HostilePublisher {
  readonly #instance = new Instance('hostile');
  /** Last claimed offset, which a later message may claim as its predecessor. */
  #claimed: string = JOURNAL_START;

  constructor(private readonly network: SimulatedNetwork) {}

  /** PUBLISH alone. */
  publish(): void {
    const { master, random } = this.network;
    if (!master.up || master.stopped) return;
    const offset = random.pick([
      this.#soon(),
      '99999999999999-0',
      this.#someOffset(),
      '0-1',
    ]);
    const previous = random.pick([
      master.tail,
      master.tail,
      this.#claimed,
      this.#someOffset(),
      JOURNAL_START,
    ]);
    this.#claimed = offset;
    master.announce(this.#forge(offset, previous));
  }

  /**
   * XADD as well, which may trim the journal.
   *
   * @param previous the offset that the entry claims to follow
   * @param keep number of remaining entries; `null` for all
   */
  write(previous: string, keep: number | null): void {
    const { master, random } = this.network;
    if (!master.up || master.stopped || master.loading) return;
    const offset = master.nextOffset(random.pick([1, PLAUSIBLE_MS]));
    const payload = this.#forge(offset, previous);
    master.write({ offset, payload });
    if (keep !== null) master.trim(keep);
    if (random.chance(0.5)) master.announce(payload);
  }

  #soon(): string {
    return `${Date.now() + this.network.random.whole(1, PLAUSIBLE_MS)}-7`;
  }

  #someOffset(): string {
    const { master, random } = this.network;
    const { length } = master.journal;
    return length === 0
      ? JOURNAL_START
      : master.journal[random.whole(Math.max(0, length - 10), length - 1)]!
          .offset;
  }

  /**
   * A forged message, sometimes with the origin of an instance and the id of
   * its own message.
   */
  #forge(offset: string, previous: string): string {
    const { master, random } = this.network;
    const message = {
      ...this.#instance.stamp(entity('session', 'nobody')),
      offset,
      previous,
    };
    const last = master.journal.at(-1);
    if (last === undefined || random.chance(0.5)) {
      return encodeMessage(message, Infinity);
    }
    const { origin, message_id: id } = JSON.parse(last.payload) as {
      origin: string;
      message_id: string;
    };
    const messageId = random.chance(0.5) ? id : message.messageId;
    return encodeMessage({ ...message, origin, messageId }, Infinity);
  }
}
