import { Paced } from '../common/index.js';
import type { InvalidationMessage } from '../message/index.js';
import type { JournaledMessage } from '../subscriber/index.js';
import type {
  ForwardedKind,
  ForwardedMessage,
  RelayState,
} from '../transport/index.js';
import type { RelayLog, RelayWidening } from './relay-log.js';
import type { RelayMessages } from './relay-messages.js';
import type { RelayOutlet } from './relay-outlet.js';

/** Milliseconds between two widenings for messages that cannot be read. */
const UNREADABLE_MS = 10_000;

/**
 * Decides what this region publishes for what comes from a source: the message, nothing,
 * or "everything".
 *
 * @internal
 */
export class RelayIntake {
  /** Whether this region has never relayed the source. */
  #isFirst = false;
  /** Whether the source has publishers without a journal. */
  #hasForeign = false;
  /** Messages without an offset on their way: no journal of the source has them. */
  #extras = 0;
  /** Whether "everything" is owed for such messages, which were dropped or missed. */
  #isOwed = false;
  /** The number of restarts in the record, and that of the last such message. */
  #restarts = 0;
  #restartsOfExtra = 0;
  readonly #unreadable = new Paced(UNREADABLE_MS, () =>
    this.#widen('unreadable', null),
  );

  constructor(
    private readonly messages: RelayMessages,
    private readonly outlet: RelayOutlet,
    private readonly log: RelayLog,
    /** Names of this region and of all its sources. */
    private readonly known: readonly string[],
    /** There was no room for a message. */
    private readonly onOverflow: () => void,
  ) {}

  /** Messages on their way are dropped; the source is read again from the record on. */
  drop(): void {
    this.#isOwed ||= this.#extras > 0;
    this.#extras = 0;
  }

  /** The record was read. */
  begin({ place, foreign }: RelayState): void {
    // A widening may have been due since the relay paused.
    this.drop();
    this.#hasForeign ||= foreign;
    this.#isFirst = place.offset === null;
    this.#restarts = place.restarts;
    if (place.restarts >= this.#restartsOfExtra) return;
    // This region's Redis has lost such a message.
    this.#isOwed = true;
    this.#restartsOfExtra = 0;
  }

  /** The subscription stands, at first or again. */
  subscribed(): void {
    this.#isOwed ||= this.#hasForeign;
  }

  /** The source's journal was read to its end. */
  caughtUp(): void {
    if (this.#isOwed) this.#widen('reconnected', null);
  }

  /** The next message of the source's journal. */
  next(message: JournaledMessage): void {
    const out = this.#relayed(message);
    if (out === null) return this.outlet.skip(message.offset);
    this.#push(out, 'next', message.offset);
  }

  /** A message that has no place in the source's journal, or not the one it claims. */
  other(message: InvalidationMessage, kind: 'foreign' | 'extra'): void {
    if (kind === 'foreign') this.#hasForeign = true;
    const out = this.#relayed(message);
    if (out !== null) this.#push(out, kind, null);
  }

  /** A message that no journal has came while nothing was handed on. */
  ignored(): void {
    this.#hasForeign = true;
    this.#isOwed = true;
  }

  /** Messages before this end of the source's journal are not known. */
  missed(tail: string): void {
    this.#widen(this.#isFirst ? 'first-start' : 'missed', tail);
    this.#isFirst = false;
  }

  /** A message that cannot be read may be a real one. */
  unreadable(): void {
    this.#unreadable.run();
  }

  /** Messages are in this region's journal now. */
  forwarded(messages: readonly ForwardedMessage[]): void {
    this.log.forwarded += messages.length;
    for (const { kind, offset } of messages) {
      if (kind !== 'next') this.#restarts++;
      if (offset !== null) continue;
      this.#extras--;
      this.#restartsOfExtra = this.#restarts;
    }
  }

  /** @returns whether messages were dropped that the next relay knows nothing of */
  stop(): boolean {
    this.drop();
    const isOwed = this.#isOwed || this.#unreadable.isOwed;
    this.#unreadable.close();
    this.#isOwed = false;
    return isOwed;
  }

  #relayed(message: InvalidationMessage): InvalidationMessage | null {
    const out = this.messages.relayed(message);
    const { region } = message;
    if (this.messages.isOurs(message)) {
      this.log.returned();
    } else if (out === null && region && !this.known.includes(region)) {
      this.log.unknown(region);
    }
    return out;
  }

  #widen(cause: RelayWidening, offset: string | null): void {
    this.#isOwed = false;
    this.log.widened(cause);
    const kind = offset === null ? 'extra' : 'restart';
    this.#push(this.messages.everything(), kind, offset);
  }

  #push(
    message: InvalidationMessage,
    kind: ForwardedKind,
    offset: string | null,
  ): void {
    if (offset === null) this.#extras++;
    if (!this.outlet.push({ message, kind, offset })) this.onOverflow();
  }
}
