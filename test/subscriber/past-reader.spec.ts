import { describe, expect, it } from 'vitest';
import {
  batch,
  encodeMessage,
  entity,
  Instance,
  JOURNAL_START,
  type Invalidation,
} from '../../lib/message/index.js';
import { readPast } from '../../lib/subscriber/past-reader.js';
import type {
  InvalidationTransport,
  JournalEntry,
} from '../../lib/transport/index.js';

const instance = new Instance('test');

/** @param previous offset of the predecessor; `null` for the offset before */
function entry(
  at: number,
  previous: number | null = null,
  said: Invalidation = entity('User', at),
): JournalEntry {
  const before = previous ?? at - 1;
  const message = {
    ...instance.stamp(said),
    offset: `${at}-0`,
    previous: before === 0 ? JOURNAL_START : `${before}-0`,
  };
  return { offset: `${at}-0`, payload: encodeMessage(message, Infinity) };
}

async function idsUpTo(
  upTo: number,
  entries: JournalEntry[],
): Promise<(string | null)[]> {
  const transport = {
    readJournal: async (from: string, count: number) => {
      const start = entries.findIndex(({ offset }) => offset === from);
      expect(from === '-' || start > 0).toBe(true);
      return entries.slice(Math.max(0, start), Math.max(0, start) + count);
    },
  };
  const past = await readPast(
    transport as unknown as InvalidationTransport,
    `${upTo}-0`,
    Infinity,
  );
  return past.map(({ entityId }) => entityId);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

describe('readPast()', () => {
  it('reads the journal up to the offset, in several pages', async () => {
    const entries = range(1, 2_500).map((at) => entry(at));
    const ids = range(1, 2_400).map(String);
    expect(await idsUpTo(2_400, entries)).toEqual(ids);
    expect(await idsUpTo(1_000, entries)).toEqual(ids.slice(0, 1_000));
    expect(await idsUpTo(1, entries)).toEqual(['1']);
  });

  it('starts after the last gap in the chain', async () => {
    const broken = [1, 2, 3, 5, 6].map((at) => entry(at));
    expect(await idsUpTo(6, broken)).toEqual(['5', '6']);
    const garbage = { offset: '3-0', payload: 'garbage' };
    const entries = [entry(1), entry(2), garbage, entry(4), entry(5)];
    expect(await idsUpTo(5, entries)).toEqual(['4', '5']);
  });

  it('returns nothing when the journal does not have the offset', async () => {
    expect(await idsUpTo(3, [])).toEqual([]);
    expect(await idsUpTo(3, [entry(1), entry(2), entry(4, 2)])).toEqual([]);
  });

  it('returns nothing when the last entry is no message', async () => {
    const garbage = { offset: '3-0', payload: 'garbage' };
    expect(await idsUpTo(3, [entry(1), entry(2), garbage])).toEqual([]);
  });

  it('returns the last messages when they would take too much memory', async () => {
    // By its size in memory each message is the 32nd part of the bound.
    const metadata = { twelve_bytes: Array(65_499).fill(0) };
    const entries = range(1, 34).map((at) =>
      entry(at, null, { ...entity('User', at), metadata }),
    );
    expect(await idsUpTo(34, entries)).toEqual(range(3, 34).map(String));
  });

  it('returns the last messages when there are too many to remember, in several reads', async () => {
    const keys = range(1, 1_000).map((id) => `user:${id}`);
    const entries = range(1, 120).map((at) => entry(at, null, batch(keys)));
    const pages: number[] = [];
    const transport = {
      readJournal: async (from: string, count: number) => {
        const start = entries.findIndex(({ offset }) => offset === from);
        const page = entries.slice(
          Math.max(0, start),
          Math.max(0, start) + count,
        );
        pages.push(page.reduce((sum, { payload }) => sum + payload.length, 0));
        return page;
      },
    };
    const past = await readPast(
      transport as unknown as InvalidationTransport,
      '110-0',
      Infinity,
    );
    const offsets = range(61, 110).map((at) => `${at}-0`);
    expect(past.map(({ offset }) => offset)).toEqual(offsets);
    expect(Math.max(...pages)).toBeLessThan(1_200_000);
  });
});
