import {
  compareOffsets,
  JOURNAL_START,
  type QueueLimit,
} from '../message/index.js';
import type { OffsetHorizon } from './offset.horizon.js';

/** Something with a place in the journal. @internal */
export interface Journaled {
  readonly offset: string;
  /** The offset before it; `null` if its writer did not say. */
  readonly previous: string | null;
}

/** Decisions of the cursor. @internal */
export interface CursorSink<M extends Journaled> {
  /** @param replayed whether it comes from the journal */
  deliver(message: M, replayed: boolean): void;
  /** Messages were missed and cannot be told: deliver "everything" in their place. */
  widen(): void;
}

/** @internal */
export interface CursorLimits {
  /** Messages held back while the journal is read. */
  readonly held: QueueLimit;

  /** Replayed offsets kept to recognise what comes over the channel as well. */
  readonly replayed: number;
  /** How far the journal can have come by now. */
  readonly horizon: Pick<OffsetHorizon, 'allows'>;
}

/**
 * Decides, from what is heard and what the journal says, what is delivered:
 * every message in order, or one widened message where that cannot be proved.
 * A pure state machine: no I/O, no clock. Whoever drives it reads the journal
 * for as long as `catchingUp` says so.
 *
 * The position is the offset up to which everything has been delivered. A
 * message follows if it names the position as its `previous` and its own offset
 * is a later one that can exist by now: anybody may publish a message that
 * claims any place. Every other message is held, and the journal is read from
 * the position on. If the entry at the position is still there and the chain of
 * `previous` links holds from it, nothing was missed that is not delivered then;
 * if not, the journal was trimmed, lost, rewound or forged. An offset at or
 * before the position proves nothing by itself, since a journal that lost its
 * end may count over again: it is a duplicate only if it was replayed, or says
 * what was delivered at the position.
 *
 * @internal
 */
export class DeliveryCursor<M extends Journaled> {
  #position: string | null = null;
  /** The message at the position; `null` if that was an own one, or not read. */
  #last: M | null = null;
  /** The message delivered last on this subscription while no position was known. */
  #early: string | null = null;
  #catchingUp = false;
  #held: M[] = [];
  #heldBytes = 0;
  /** How many of the held were heard before the reading under way began. */
  #heardBefore = 0;
  #replayed: Set<string> | null = null;

  constructor(
    private readonly sink: CursorSink<M>,
    private readonly limits: CursorLimits,
    /** In bytes. */
    private readonly sizeOf: (message: M) => number,
    private readonly isSame: (one: M, other: M) => boolean,
  ) {}

  /** Up to where everything has been delivered; `null` if that is not known. */
  get position(): string | null {
    return this.#position;
  }

  /** Whether messages are held back until the journal has been read. */
  get catchingUp(): boolean {
    return this.#catchingUp;
  }

  /**
   * The ordinary case, without an allocation: the next message of the chain.
   *
   * @param message `null` for an own one
   * @returns whether it is to be delivered at once; hand it to `hear` otherwise
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
    // On one connection nothing older comes after what is newer.
    this.#replayed = null;
    return true;
  }

  /** Any other message. Afterwards `catchingUp` says whether to read. */
  hear(message: M): void {
    if (!this.#catchingUp && this.#isDuplicate(message)) return;
    if (!this.#catchingUp && message.offset === this.#position) {
      // Two claim one place, and the journal has one of them: deliver both.
      return this.sink.deliver(message, false);
    }
    this.#catchingUp = true;
    this.#held.push(message);
    this.#heldBytes += this.sizeOf(message);
    const { messages, bytes } = this.limits.held;
    // "Everything" covers what is held, and what the journal has until now.
    if (this.#held.length > messages || this.#heldBytes > bytes) {
      this.restart(null);
    }
  }

  /** Something may have been missed: what comes is held until `replay`. */
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
        // Something else has its place: that is not the journal that was heard.
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
   * Gives up what may have been missed: delivers "everything" in its place.
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

  /**
   * Begins at the end of the journal: what was said before is of no concern, or
   * has been handed over by now.
   */
  begin(tail: string): void {
    const early = this.#early;
    // More may have been said, and delivered, since that end was read.
    const isLater = early !== null && compareOffsets(early, tail) > 0;
    this.#position = isLater ? early : tail;
  }

  /** The subscription is gone; what comes next is from another one. */
  lost(): void {
    this.#hold([]);
    this.#early = null;
    this.#replayed = null;
    this.#catchingUp = false;
    // An empty journal cannot be told from another empty one.
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
    this.#replayed ??= new Set();
    this.#replayed.add(entry.offset);
    if (this.#replayed.size > this.limits.replayed) {
      const [oldest = ''] = this.#replayed;
      this.#replayed.delete(oldest);
    }
    this.sink.deliver(entry, true);
  }

  #hold(messages: M[]): void {
    this.#held = messages;
    this.#heldBytes = messages.reduce(
      (sum, each) => sum + this.sizeOf(each),
      0,
    );
  }

  /** The journal has been read to its end: what is held can be judged. */
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
        // Not of this chain, though the journal was read after it was heard: an
        // old duplicate or of another journal, which cannot be told apart.
        this.sink.deliver(message, false);
      } else {
        return this.#hold(held.slice(index));
      }
    }
    this.#catchingUp = false;
  }
}
