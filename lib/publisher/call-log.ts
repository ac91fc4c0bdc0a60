import { compareOffsets } from '../message/index.js';
import type { Published } from '../transport/index.js';

/**
 * Numbers the calls to Redis, to tell how far Redis has come with them.
 *
 * @internal
 */
export class CallLog {
  #begun = 0;
  /** The numbers of the calls in flight, oldest first. */
  readonly #inFlight = new Set<number>();
  #messages = 0;
  #lastOffset: string | null = null;

  /** How many calls have begun. */
  get begun(): number {
    return this.#begun;
  }

  /** Messages that Redis has not answered for. */
  get messagesInFlight(): number {
    return this.#messages;
  }

  /** Journal offset of the last message that Redis has taken. */
  get lastOffset(): string | null {
    return this.#lastOffset;
  }

  /** @returns the number of the call */
  begin(messages: number): number {
    this.#messages += messages;
    const call = this.#begun++;
    this.#inFlight.add(call);
    return call;
  }

  end(call: number, messages: number): void {
    this.#messages -= messages;
    this.#inFlight.delete(call);
  }

  /** Whether Redis has answered all calls before a number, which have all begun. */
  hasAnswered(before: number): boolean {
    if (this.#begun < before) return false;
    const [oldest = Infinity] = this.#inFlight;
    return oldest >= before;
  }

  /** Redis has taken a message. The old offset of one that an earlier run published does not count. */
  took({ offset, receivers }: Published): void {
    if (offset === null) return;
    const last = this.#lastOffset;
    const isOld =
      last !== null && receivers === null && compareOffsets(offset, last) < 0;
    if (!isOld) this.#lastOffset = offset;
  }
}
