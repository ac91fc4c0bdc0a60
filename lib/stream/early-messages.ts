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
import type { PublishProgress } from './publish-progress.js';

/** Messages or keys of one generation; beyond it they count as everything. */
const LIMIT = 10_000;
/** Bytes of the messages of one generation; beyond it they count as everything. */
const BYTES_LIMIT = 16_777_216;
/** Patterns of one generation; every check is compared with each of them. */
const PATTERN_LIMIT = 100;

/**
 * Own messages that were delivered locally before their journal offset was reached.
 * Until it is reached, the position does not say whether they were applied.
 *
 * They settle by generations, since a busy publisher always has messages under way:
 * one generation is closed, and settles when the position reaches its last message;
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

  /** @returns messages whose offsets the position has reached; they are early no more */
  take(
    progress: Omit<PublishProgress, 'pending'>,
    position: string,
  ): Invalidation[] {
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
  /** Families of the keys; `null` until the first check of a family. */
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
    const bare = withoutMetadata(message);
    this.#bytes += sizeOf(bare);
    if (
      this.#bytes > BYTES_LIMIT ||
      this.messages.length >= LIMIT ||
      this.#keys.size + (keys?.length ?? 0) > LIMIT ||
      (keys === null && this.#patterns.length >= PATTERN_LIMIT)
    ) {
      return this.#collapse();
    }
    this.messages.push(bare);
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

/** Drops the metadata, which may be large and names no entries. */
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
