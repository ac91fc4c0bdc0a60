import { describe, expect, it } from 'vitest';
import {
  JournalPager,
  type JournalEntry,
  type JournalPage,
} from '../../lib/transport/index.js';

/** A journal whose entries are `size` characters long, and the counts of its reads. */
function journalOf(length: number, size: number) {
  const journal = Array.from({ length }, (_, at): JournalEntry => ({
    offset: `${at + 1}-0`,
    payload: 'x'.repeat(size),
  }));
  const counts: number[] = [];
  const pager = new JournalPager(async (from, count) => {
    counts.push(count);
    const start =
      from === '-' ? 0 : journal.findIndex(({ offset }) => offset === from);
    return journal.slice(start, start + count);
  });
  return { pager, counts };
}

async function allPages(pager: JournalPager): Promise<JournalPage[]> {
  const pages: JournalPage[] = [];
  for await (const page of pager.pages('-')) pages.push(page);
  return pages;
}

describe('JournalPager', () => {
  it('reads every entry, each page from the last entry of the page before', async () => {
    const { pager } = journalOf(2_500, 100);
    const pages = await allPages(pager);
    const offsets = pages.map(({ entries }) =>
      entries.map(({ offset }) => Number.parseInt(offset, 10)),
    );
    expect(offsets.map((page) => [page[0], page.at(-1)])).toEqual([
      [1, 16],
      [16, 79],
      [79, 334],
      [334, 1_333],
      [1_333, 2_332],
      [2_332, 2_500],
    ]);
    expect(pages.map(({ complete }) => complete)).toEqual([
      ...Array.from({ length: 5 }, () => false),
      true,
    ]);
  });

  it('makes pages smaller if entries are large, and still moves on', async () => {
    const { pager, counts } = journalOf(20, 400_000);
    const pages = await allPages(pager);
    expect(counts.slice(0, 3)).toEqual([16, 2, 2]);
    expect(pages.at(-1)!.entries.at(-1)!.offset).toBe('20-0');
  });

  it('yields one page of an empty journal', async () => {
    const { pager } = journalOf(0, 0);
    expect(await allPages(pager)).toEqual([{ entries: [], complete: true }]);
  });

  it('reads single pages from any offset, with the page size of the page before', async () => {
    const { pager, counts } = journalOf(2_500, 100);
    await pager.page('5-0');
    const { entries, complete } = await pager.page('2480-0');
    expect(entries[0]!.offset).toBe('2480-0');
    expect(complete).toBe(true);
    expect(counts).toEqual([16, 64]);
  });

  it('grows fourfold at most: the next entries may be much larger', async () => {
    const { pager, counts } = journalOf(2_500, 1);
    await allPages(pager);
    expect(counts).toEqual([16, 64, 256, 1_000, 1_000, 1_000]);
  });
});
