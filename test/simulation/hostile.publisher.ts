import {
  encodeMessage,
  entity,
  Instance,
  JOURNAL_START,
} from '../../lib/message/index.js';
import type { SimulatedNetwork } from './simulated.network.js';

/** A clock may be so far ahead; who claims more is not believed. */
const PLAUSIBLE_MS = 50_000;

/**
 * Somebody who may publish on the channel, and read it, or even write entries
 * into the journal. What it says names nothing that is cached: all the harm it can
 * do is to make instances believe that they are somewhere else in the journal.
 */
export class HostilePublisher {
  readonly #instance = new Instance('hostile');
  /** The last place that it claimed, to be claimed as a predecessor. */
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
   * @param previous the place that the entry claims to follow
   * @param keep how many entries are left; `null` for all
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

  /** Sometimes in the name of an instance, and by the id of its own message. */
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
