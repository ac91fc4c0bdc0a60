import {
  escapePattern,
  everything,
  keyPrefixOf,
  literalPrefix,
  patternOf,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';

/** More entity types than this collapse to everything. */
const MAX_TYPES = 16;

/** A batch counts its keys: they are what fills memory. */
function weightOf(messages: readonly Invalidation[]): number {
  return messages.reduce(
    (sum, { entityIds }) => sum + Math.max(1, entityIds?.length ?? 1),
    0,
  );
}

/**
 * What this instance has not managed to publish yet, oldest first. When full it
 * collapses: to one pattern for each entity type, and when that would not do,
 * to everything.
 *
 * @internal
 */
export class Outbox {
  #messages: InvalidationMessage[] = [];
  #weight = 0;

  constructor(
    private readonly limit: number,
    /** Makes a message of what a collapse amounts to. */
    private readonly stamp: (invalidation: Invalidation) => InvalidationMessage,
  ) {}

  get size(): number {
    return this.#messages.length;
  }

  /** @returns whether it had to collapse */
  add(messages: readonly InvalidationMessage[]): boolean {
    this.#messages = this.#messages.concat(messages);
    this.#weight += weightOf(messages);
    return this.#collapseIfFull();
  }

  /** Puts back what was taken, before everything that came since. */
  putBack(messages: readonly InvalidationMessage[]): boolean {
    this.#messages = messages.concat(this.#messages);
    this.#weight += weightOf(messages);
    return this.#collapseIfFull();
  }

  take(count: number): InvalidationMessage[] {
    const taken = this.#messages.splice(0, count);
    this.#weight -= weightOf(taken);
    return taken;
  }

  #collapseIfFull(): boolean {
    if (this.#weight <= this.limit) return false;
    const coarse = collapse(this.#messages).map(this.stamp);
    this.#messages =
      coarse.length <= this.limit ? coarse : [this.stamp(everything())];
    this.#weight = this.#messages.length;
    return true;
  }
}

function collapse(messages: readonly Invalidation[]): Invalidation[] {
  const prefixes = new Set<string>();
  for (const message of messages) {
    for (const prefix of prefixesOf(message)) prefixes.add(prefix);
    if (prefixes.has('') || prefixes.size > MAX_TYPES) return [everything()];
  }
  return [...prefixes].map((prefix) => patternOf(`${escapePattern(prefix)}:*`));
}

/** The key prefixes that cover a message; `''` where only everything does. */
function prefixesOf(message: Invalidation): string[] {
  switch (message.action) {
    case 'Batch':
      return message.entityIds.map(beforeColon);
    case 'Pattern':
      return [beforeColon(literalPrefix(message.pattern))];
    default:
      return [keyPrefixOf(message.entityType)];
  }
}

function beforeColon(text: string): string {
  return text.slice(0, Math.max(0, text.indexOf(':')));
}
