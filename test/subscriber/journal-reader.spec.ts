import { describe, expect, it, vi } from 'vitest';
import {
  decodeEntries,
  decodeEntry,
  JournalReader,
} from '../../lib/subscriber/journal-reader.js';
import { encodeMessage, entity, Instance } from '../../lib/message/index.js';
import type { JournalEntry } from '../../lib/transport/index.js';
import { ScriptedTransport } from '../support/scripted.transport.js';
import { errorOf, stopTime } from './clock.js';

/** A transport whose journal has this many messages of another instance. */
function startJournal(count: number) {
  const transport = new ScriptedTransport();
  const instance = new Instance('another');
  for (let id = 1; id <= count; id++) {
    const message = instance.stamp(entity('User', id));
    transport.channel.append(encodeMessage(message, Infinity));
  }
  return { transport, entries: transport.channel.journal };
}

const idsOf = (entries: JournalEntry[], maxBytes = 1_000): unknown[] =>
  decodeEntries(entries, maxBytes).map(({ entityId }) => entityId);

describe('JournalReader', () => {
  it('reads entries, the end, and whether there is an entry at an offset', async () => {
    const { transport, entries } = startJournal(3);
    const reader = new JournalReader(transport, 20);
    expect(await reader.read('2-0', 5)).toEqual(entries.slice(1));
    expect(await reader.tail()).toBe('3-0');
    expect(await reader.has('2-0')).toBe(true);
    expect(await reader.has('4-0')).toBe(false);
    // Redis answers with the next entry where there is none at the offset.
    vi.spyOn(transport, 'readJournal').mockResolvedValue(entries.slice(1));
    expect(await reader.has('1-0')).toBe(false);
  });

  it('reads no more than the entry at the offset to find it', async () => {
    const { transport } = startJournal(3);
    const read = vi.spyOn(transport, 'readJournal');
    await new JournalReader(transport, 20).has('2-0');
    expect(read.mock.calls).toEqual([['2-0', 1]]);
  });

  it.each<[string, (reader: JournalReader) => Promise<unknown>]>([
    ['a reading of the journal', (reader) => reader.read('-', 1)],
    ['a reading of the journal', (reader) => reader.tail()],
    ['a reading of the journal', (reader) => reader.has('1-0')],
    ['a PING', (reader) => reader.ping()],
    ['a connection', (reader) => reader.writable()],
  ])('rejects when Redis does not answer %s in time', async (what, ask) => {
    stopTime();
    const { transport } = startJournal(1);
    transport.silent = true;
    transport.writable = false;
    const asked = ask(new JournalReader(transport, 20));
    const error = errorOf(asked);
    await vi.advanceTimersByTimeAsync(20);
    expect(String(await error)).toContain(
      `Redis has not answered ${what} for 20 ms.`,
    );
  });

  it('names its reader in an error where it has one', async () => {
    stopTime();
    const { transport } = startJournal(1);
    transport.silent = true;
    const asked = new JournalReader(transport, 20, 'a heartbeat').tail();
    const error = errorOf(asked);
    await vi.advanceTimersByTimeAsync(20);
    expect(String(await error)).toContain('answered a heartbeat for 20 ms.');
  });

  it('waits for Redis to take commands until it is told that it does', async () => {
    stopTime();
    const { transport } = startJournal(1);
    const reader = new JournalReader(transport, 20);
    await reader.writable();
    expect(vi.getTimerCount()).toBe(0);
    transport.writable = false;
    const error = errorOf(reader.writable());
    reader.cancel();
    expect(String(await error)).toContain('did not answer in time');
  });
});

describe('decodeEntry()', () => {
  it('reads a message of the publish script, with its place', () => {
    const [, entry] = startJournal(2).entries;
    expect(decodeEntry(entry!, 1_000)).toMatchObject({
      entityId: '2',
      offset: '2-0',
      previous: '1-0',
    });
  });

  it('is null for what is no message, is too large, or belongs elsewhere', () => {
    const [entry] = startJournal(1).entries;
    const { payload } = entry!;
    expect(decodeEntry({ offset: '1-0', payload: 'hello' }, 1_000)).toBeNull();
    expect(decodeEntry(entry!, payload.length - 1)).toBeNull();
    expect(decodeEntry({ offset: '2-0', payload }, 1_000)).toBeNull();
  });
});

describe('decodeEntries()', () => {
  it('reads messages up to the first entry that holds none', () => {
    const { entries } = startJournal(4);
    expect(idsOf(entries)).toEqual(['1', '2', '3', '4']);
    expect(idsOf([])).toEqual([]);
    entries[2] = { offset: '3-0', payload: 'hello' };
    expect(idsOf(entries)).toEqual(['1', '2']);
  });
});
