import {
  contentOf,
  escapePattern,
  everything,
  laterPosition,
  patternOf,
  prefixesOf,
  sizeOf,
  type CommitPosition,
  type Invalidation,
  type InvalidationMessage,
  type QueueLimit,
} from '../message/index.js';

/** More entity types than this collapse to everything. */
const MAX_TYPES = 16;

/** A message that Redis is not known to have. @internal */
export interface Unsent {
  readonly message: InvalidationMessage;
  /**
   * Journal offset after which an earlier try may have left the message, `-` for
   * anywhere; `null` if it was never tried.
   */
  readonly triedSince: string | null;
}

/** A message in the outbox, which gets the position of a later one that it covers. */
interface Waiting extends Unsent {
  message: InvalidationMessage;
}

/** A batch counts its keys: they are what fills memory. */
function weightOf({ message }: Unsent): number {
  return Math.max(1, message.entityIds?.length ?? 1);
}

/**
 * Messages that this instance has not managed to publish yet, oldest first. An
 * invalidation that waits already is not added again. When full it collapses: to
 * one pattern for each entity type, and if that is too much, to everything. A message
 * that stands for several has the latest of their positions.
 *
 * @internal
 */
export class Outbox {
  #unsent: Waiting[] = [];
  #weight = 0;
  #bytes = 0;
  /**
   * Messages that were never tried, by content. A message that was tried may be
   * out already, and then does not cover one that is added now.
   */
  readonly #untried = new Map<string, Waiting>();

  constructor(
    private readonly limit: QueueLimit,
    /** Makes a message of what a collapse amounts to. */
    private readonly stamp: (
      invalidation: Invalidation,
      at: CommitPosition | null,
    ) => InvalidationMessage,
    /** Called for each message that will not be sent, since another covers it. */
    private readonly replaced: ((messageId: string) => void) | null = null,
  ) {}

  get size(): number {
    return this.#unsent.length;
  }

  /** @returns whether it had to collapse */
  add(unsent: readonly Unsent[]): boolean {
    for (const each of unsent) {
      const waiting = { ...each };
      if (each.triedSince === null && this.#isCovered(waiting)) continue;
      this.#unsent.push(waiting);
      this.#count(waiting, 1);
    }
    return this.#collapseIfFull();
  }

  /** Puts back what was taken, before everything that came since. */
  putBack(unsent: readonly Unsent[]): boolean {
    this.#unsent = unsent.concat(this.#unsent);
    for (const each of unsent) this.#count(each, 1);
    return this.#collapseIfFull();
  }

  take(count: number): Unsent[] {
    const taken = this.#unsent.splice(0, count);
    for (const each of taken) {
      this.#count(each, -1);
      if (each.triedSince === null)
        this.#untried.delete(contentOf(each.message));
    }
    return taken;
  }

  /** Whether such a message waits already; if not, this one does from now on. */
  #isCovered(added: Waiting): boolean {
    const content = contentOf(added.message);
    const waiting = this.#untried.get(content);
    if (waiting === undefined) {
      this.#untried.set(content, added);
      return false;
    }
    const { message } = waiting;
    const at = laterPosition(message.at, added.message.at);
    if (at !== message.at) waiting.message = { ...message, at };
    this.replaced?.(added.message.messageId);
    return true;
  }

  #count(unsent: Unsent, sign: 1 | -1): void {
    this.#weight += sign * weightOf(unsent);
    this.#bytes += sign * sizeOf(unsent.message);
  }

  #collapseIfFull(): boolean {
    const { messages: limit, bytes } = this.limit;
    if (this.#weight <= limit && this.#bytes <= bytes) return false;
    const messages = this.#unsent.map(({ message }) => message);
    const coarse = collapse(messages);
    const fits = coarse.length <= limit ? coarse : [everything()];
    const at = messages.map((each) => each.at).reduce(laterPosition);
    this.#unsent = fits.map((invalidation) => ({
      message: this.stamp(invalidation, at),
      triedSince: null,
    }));
    this.#weight = 0;
    this.#bytes = 0;
    for (const each of this.#unsent) this.#count(each, 1);
    for (const { messageId } of messages) this.replaced?.(messageId);
    this.#untried.clear();
    for (const each of this.#unsent)
      this.#untried.set(contentOf(each.message), each);
    return true;
  }
}

/** One pattern for each entity type, or everything. @internal */
export function collapse(messages: readonly Invalidation[]): Invalidation[] {
  const prefixes = new Set<string>();
  for (const message of messages) {
    for (const prefix of prefixesOf(message)) prefixes.add(prefix);
    if (prefixes.has('') || prefixes.size > MAX_TYPES) return [everything()];
  }
  return [...prefixes].map((prefix) => patternOf(`${escapePattern(prefix)}:*`));
}

/** Journal offset from which on earlier tries of the messages are looked for. @internal */
export function firstTryOf(unsent: readonly Unsent[]): string | null {
  const tries = unsent.map(({ triedSince }) => triedSince);
  return tries.includes('-')
    ? '-'
    : (tries.find((since) => since !== null) ?? null);
}
