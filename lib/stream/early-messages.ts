import {
  compareOffsets,
  everything,
  familyOf,
  isFamily,
  keysOf,
  sizeOf,
  weighAffecting,
  type Invalidation,
} from '../message/index.js';

/** Messages or keys of one generation; beyond it, "everything". */
const LIMIT = 10_000;
/** Bytes of the messages of one generation; beyond it they count as "everything". */
const BYTES_LIMIT = 16_777_216;
/** Patterns of one generation, each of which every look is compared with. */
const PATTERN_LIMIT = 100;

/** How far own messages have come on their way to the journal. @internal */
export interface PublishProgress {
  /** A mark that only what is published from now on comes after. */
  readonly mark: number;
  /** Whether Redis has taken all that was published before a mark. */
  hasTaken(mark: number): boolean;
  /** Journal offset of the last message that Redis has taken. */
  readonly lastOffset: string | null;
}

/**
 * Own messages that this instance has delivered before their turn in the journal
 * came. Until then no offset of the journal says whether they were applied.
 *
 * They settle by generations, since a busy publisher always has something under
 * way: one is closed, and settles when this instance has come to its last message;
 * meanwhile the next one is filled.
 *
 * @internal
 */
export class EarlyMessages {
  #open = new Generation();
  #closed: Generation | null = null;
  /** Publishes before it belong to the closed generation. */
  #mark = 0;
  /** The end of the closed generation in the journal; `null` until Redis has it. */
  #end: string | null = null;

  get any(): boolean {
    return this.#open.any || this.#closed !== null;
  }

  add(message: Invalidation): void {
    this.#open.add(message);
  }

  affects(key: string): boolean {
    return this.#open.affects(key) || this.#closed?.affects(key) === true;
  }

  /** @returns those that this instance has come to; they are early no more */
  take(progress: PublishProgress, position: string): Invalidation[] {
    const taken: Invalidation[] = [];
    while (this.any) {
      if (this.#closed === null) this.#close(progress.mark);
      if (this.#end === null && progress.hasTaken(this.#mark)) {
        this.#end = progress.lastOffset;
      }
      if (this.#end === null || compareOffsets(position, this.#end) < 0) break;
      taken.push(...this.#closed!.messages);
      this.#closed = null;
    }
    return taken;
  }

  #close(mark: number): void {
    this.#closed = this.#open;
    this.#open = new Generation();
    this.#mark = mark;
    this.#end = null;
  }
}

class Generation {
  messages: Invalidation[] = [];
  readonly #keys = new Set<string>();
  /** The types of the keys; `null` until somebody asks for a type. */
  #families: Set<string> | null = null;
  #patterns: ((key: string) => boolean)[] = [];
  #bytes = 0;
  #isEverything = false;

  get any(): boolean {
    return this.messages.length > 0;
  }

  add(message: Invalidation): void {
    if (this.#isEverything) return;
    const keys = keysOf(message);
    const said = withoutMetadata(message);
    this.#bytes += sizeOf(said);
    if (
      this.#bytes > BYTES_LIMIT ||
      this.messages.length >= LIMIT ||
      this.#keys.size + (keys?.length ?? 0) > LIMIT ||
      (keys === null && this.#patterns.length >= PATTERN_LIMIT)
    ) {
      return this.#collapse();
    }
    this.messages.push(said);
    if (keys !== null) for (const key of keys) this.#addKey(key);
    else this.#patterns.push(weighAffecting(message.pattern ?? '*').matches);
  }

  affects(key: string): boolean {
    return (
      this.#isEverything ||
      this.#names(key) ||
      this.#patterns.some((matches) => matches(key))
    );
  }

  #addKey(key: string): void {
    this.#keys.add(key);
    this.#families?.add(familyOf(key));
  }

  #names(key: string): boolean {
    if (!isFamily(key)) return this.#keys.has(key);
    if (key === '') return this.any;
    this.#families ??= new Set([...this.#keys].map(familyOf));
    return this.#families.has(key);
  }

  #collapse(): void {
    this.#isEverything = true;
    this.#keys.clear();
    this.#families = null;
    this.#patterns = [];
    this.messages = [everything()];
  }
}

/** Which entries a message names: the rest of it may be large, and is no concern. */
function withoutMetadata(message: Invalidation): Invalidation {
  const { action, entityType, entityId, pattern, entityIds } = message;
  return {
    action,
    entityType,
    entityId,
    pattern,
    entityIds,
    metadata: null,
  } as Invalidation;
}
