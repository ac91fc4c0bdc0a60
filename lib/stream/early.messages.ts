import {
  compilePattern,
  everything,
  keysOf,
  type Invalidation,
} from '../message/index.js';

/** Beyond as many messages or keys, "everything". */
const LIMIT = 10_000;

/**
 * What this instance has told itself before its turn in the journal came: its own
 * messages. Until then no offset of the journal says whether they were applied.
 *
 * @internal
 */
export class EarlyMessages {
  #messages: Invalidation[] = [];
  #keys = new Set<string>();
  #patterns: ((key: string) => boolean)[] = [];

  get any(): boolean {
    return this.#messages.length > 0;
  }

  add(message: Invalidation): void {
    const keys = keysOf(message);
    if (keys === null)
      this.#patterns.push(compilePattern(message.pattern ?? '*'));
    else for (const key of keys) this.#keys.add(key);
    this.#messages.push(message);
    if (this.#messages.length > LIMIT || this.#keys.size > LIMIT) {
      this.take();
      this.add(everything());
    }
  }

  affects(key: string): boolean {
    return (
      this.#keys.has(key) || this.#patterns.some((matches) => matches(key))
    );
  }

  /** All of them; none are left. */
  take(): Invalidation[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#keys = new Set();
    this.#patterns = [];
    return messages;
  }
}
