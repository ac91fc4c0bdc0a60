import {
  compareOffsets,
  JOURNAL_START,
  type QueueLimit,
} from '../message/index.js';
import type { OffsetHorizon } from './offset-horizon.js';
import { RecentOffsets } from './recent-offsets.js';

/** A message with a place in the journal. @internal */
export interface Journaled {
  readonly offset: string;
  /** The offset before it; `null` if its writer did not give it. */
  readonly previous: string | null;
}

/** Decisions of the cursor. @internal */
export interface CursorSink<M extends Journaled> {
  /** @param replayed whether it comes from the journal */
  deliver(message: M, replayed: boolean): void;
  /** Messages were missed and are unknown: deliver "everything" in their place. */
  widen(): void;
}

/** @internal */
export interface CursorLimits {
  /** Messages held back while the journal is read. */
  readonly held: QueueLimit;
  /** Replayed offsets kept, at the least, to recognise their duplicates on the channel. */
  readonly remembered: number;
  /** Bounds the offsets that can exist by now. */
  readonly horizon: Pick<OffsetHorizon, 'allows'>;
}

/**
 * Orders the messages of the channel and of the journal for delivery: every
 * message in order, or one widened message where that cannot be proved. A pure
 * state machine: no I/O, no clock. Its caller reads the journal for as long as
 * `catchingUp` is true.
 *
 * The position is the offset up to which everything has been delivered. A
 * message follows if it names the position as its `previous` and its own offset
 * is a later one that can exist by now: anybody may publish a message that
 * claims any place. Every other message is held, and the journal is read from
 * the position on. If the entry at the position is still there and the chain of
 * `previous` links holds from it, the replay has delivered every missed message;
 * if not, the journal was trimmed, lost, rewound or forged. An offset at or
 * before the position proves nothing by itself, since a journal that lost its
 * end may count over again: the message is a duplicate only if it was replayed,
 * or equals the message delivered at the position.
 *
 * @internal
 */
export class DeliveryCursor<M extends Journaled> {
  #position: string | null = null;
  /** The message at the position; `null` if it was an own message, or not read. */
  #last: M | null = null;
  /** The message delivered last on this subscription while no position was known. */
  #early: string | null = null;
  #catchingUp = false;
  #held: M[] = [];
  #heldBytes = 0;
  /** How many held messages were received before the current reading began. */
  #heardBefore = 0;
  #replayed: RecentOffsets | null = null;

  constructor(
    private readonly sink: CursorSink<M>,
    private readonly limits: CursorLimits,
    /** In bytes. */
    private readonly sizeOf: (message: M) => number,
    private readonly isSame: (one: M, other: M) => boolean,
  ) {}

  /** The offset up to which everything has been delivered; `null` if unknown. */
  get position(): string | null {
    return this.#position;
  }

  /** Whether messages are held back until the journal has been read. */
  get catchingUp(): boolean {
    return this.#catchingUp;
  }

  /**
   * Takes the next message of the chain, the ordinary case, without an allocation.
   *
   * @param message `null` for an own message
   * @returns whether to deliver it at once; hand it to `receive` otherwise
   */
  advance(previous: string | null, offset: string, message: M | null): boolean {
    if (this.#catchingUp) return false;
    if (this.#position === null) {
      if (this.limits.horizon.allows(offset)) this.#early = offset;
      return true;
    }
    if (previous !== this.#position || !this.#canFollow(offset)) return false;
    this.#position = offset;
    this.#last = message;
    // On one connection no older message comes after a newer one.
    this.#replayed = null;
    return true;
  }

  /** Takes any other message. Read the journal if `catchingUp` is true afterwards. */
  receive(message: M): void {
    if (!this.#catchingUp && this.#isDuplicate(message)) return;
    if (!this.#catchingUp && message.offset === this.#position) {
      // Two messages claim one place, and the journal has one of them: deliver both.
      return this.sink.deliver(message, false);
    }
    this.#catchingUp = true;
    this.#held.push(message);
    this.#heldBytes += this.sizeOf(message);
    const { messages, bytes } = this.limits.held;
    // "Everything" covers the held messages, and those of the journal until now.
    if (this.#held.length > messages || this.#heldBytes > bytes) {
      this.restart(null);
    }
  }

  /** Messages may have been missed: holds further ones until `replay`. */
  doubt(): void {
    if (this.#position === null) return;
    this.#catchingUp = true;
  }

  /** Marks the messages held so far as older than the reading of the journal that begins now. */
  beginReading(): void {
    this.#heardBefore = this.#held.length;
  }

  /**
   * Takes the journal's entries from the position on, the position's own included.
   *
   * @param complete whether these are all
   * @returns `false` if the chain is broken: then `restart` from the tail
   */
  replay(entries: readonly M[], complete: boolean): boolean {
    const [first] = entries;
    if (first === undefined) return false;
    // Without its own entry nothing proves that the next one is the next one.
    if (first.offset !== this.#position && this.#position !== JOURNAL_START) {
      return false;
    }
    for (const entry of entries) {
      if (entry === first && entry.offset === this.#position) {
        // Another message has its place: the journal was replaced.
        if (!this.#isDuplicate(entry)) return false;
        continue;
      }
      if (entry.previous !== this.#position) return false;
      this.#replay(entry);
    }
    if (complete) this.#release();
    return true;
  }

  /**
   * Gives up the messages that may have been missed: delivers "everything" instead.
   *
   * @param tail the end of the journal, read a moment ago; `null` if unknown
   */
  restart(tail: string | null): void {
    this.#catchingUp = false;
    this.#hold([]);
    this.#replayed = null;
    this.#position = tail;
    this.#last = null;
    this.sink.widen();
  }

  /** Begins at the end of the journal: earlier messages do not matter, or have been delivered. */
  begin(tail: string): void {
    const early = this.#early;
    // More messages may have been delivered since that end was read.
    const isLater = early !== null && compareOffsets(early, tail) > 0;
    this.#position = isLater ? early : tail;
  }

  /** The subscription is gone; further messages come from another one. */
  lost(): void {
    this.#hold([]);
    this.#early = null;
    this.#replayed = null;
    this.#catchingUp = false;
    // Two empty journals look alike.
    if (this.#position === JOURNAL_START) this.#position = null;
  }

  /** Whether a message may claim this offset as the one after the position. */
  #canFollow(offset: string): boolean {
    return (
      compareOffsets(offset, this.#position ?? JOURNAL_START) > 0 &&
      this.limits.horizon.allows(offset)
    );
  }

  #isDuplicate(message: M): boolean {
    const { offset } = message;
    if (this.#replayed?.has(offset) === true) return true;
    if (offset !== this.#position) return false;
    return this.#last === null || this.isSame(message, this.#last);
  }

  #replay(entry: M): void {
    this.#position = entry.offset;
    this.#last = entry;
    this.#replayed ??= new RecentOffsets(this.limits.remembered);
    this.#replayed.add(entry.offset);
    this.sink.deliver(entry, true);
  }

  #hold(messages: M[]): void {
    this.#held = messages;
    this.#heldBytes = messages.reduce(
      (sum, each) => sum + this.sizeOf(each),
      0,
    );
  }

  /** Judges the held messages, once the journal has been read to its end. */
  #release(): void {
    const held = this.#held;
    this.#hold([]);
    for (const [index, message] of held.entries()) {
      if (
        message.previous === this.#position &&
        this.#canFollow(message.offset)
      ) {
        this.#position = message.offset;
        this.#last = message;
        this.sink.deliver(message, false);
      } else if (this.#isDuplicate(message)) {
        continue;
      } else if (index < this.#heardBefore) {
        // Not of this chain, though the journal was read after it was received: an
        // old duplicate, or a message of another journal; they look alike.
        this.sink.deliver(message, false);
      } else {
        return this.#hold(held.slice(index));
      }
    }
    this.#catchingUp = false;
  }
}
