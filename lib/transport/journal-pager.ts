import type { JournalEntry } from './invalidation.transport.js';

/** Entries in the first page, while their size is unknown. */
const FIRST_COUNT = 16;
/** The next page has at most so many times the entries: they may be much larger. */
const GROWTH = 4;

/** Bounds of a page. @internal */
export interface PageLimits {
  readonly entries: number;
  /** Characters that one page should hold. */
  readonly size: number;
}

const LIMITS: PageLimits = { entries: 1_000, size: 1_048_576 };

/** Reads entries in order, the one at `from` included. @internal */
export type ReadJournal = (
  from: string,
  count: number,
) => Promise<JournalEntry[]>;

/** @internal */
export interface JournalPage {
  readonly entries: readonly JournalEntry[];
  /** Whether the journal ended with these entries when they were read. */
  readonly complete: boolean;
}

/**
 * Reads the journal page by page. Each page has as many entries as fit, going by
 * the size of the page before.
 *
 * @internal
 */
export class JournalPager {
  #count = FIRST_COUNT;

  constructor(
    private readonly read: ReadJournal,
    private readonly limits = LIMITS,
  ) {}

  /** One page, the entry at `from` included. */
  async page(from: string): Promise<JournalPage> {
    const count = this.#count;
    const entries = await this.read(from, count);
    this.#count = Math.min(count * GROWTH, nextCount(entries, this.limits));
    return { entries, complete: entries.length < count };
  }

  /**
   * Pages up to the end of the journal. Each begins with the last entry of the page
   * before, if the journal still has it.
   *
   * @param from an offset, or `-` for the first entry
   */
  async *pages(from: string): AsyncGenerator<JournalPage, void> {
    for (;;) {
      const page = await this.page(from);
      yield page;
      if (page.complete) return;
      from = page.entries.at(-1)!.offset;
    }
  }
}

function nextCount(
  entries: readonly JournalEntry[],
  limits: PageLimits,
): number {
  const size = entries.reduce((sum, { payload }) => sum + payload.length, 0);
  const fit = Math.floor((limits.size * entries.length) / Math.max(1, size));
  return Math.max(2, Math.min(limits.entries, fit));
}
