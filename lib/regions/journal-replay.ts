import { setImmediate } from 'node:timers/promises';
import { isSameMessage, sizeOf } from '../message/index.js';
import {
  DeliveryCursor,
  type CursorSink,
  type OffsetHorizon,
} from '../stream/index.js';
import {
  decodeEntries,
  type JournaledMessage,
  type JournalReader,
} from '../subscriber/index.js';
import {
  JournalPager,
  type JournalEntry,
  type JournalPage,
} from '../transport/index.js';

/** Messages that wait for the journal to be read; beyond it the reading begins again. */
const HELD_LIMIT = 10_000;
/** Replayed offsets that are remembered, to recognise duplicates. */
const REMEMBERED_LIMIT = 10_000;
/** A page of the journal: a round trip over an ocean must be worth it. */
const PAGE = { entries: 5_000, size: 2_097_152 };
/** Entries that are handed on without a pause for the event loop. */
const SLICE = 1_000;

/**
 * Hands the journal of a source to a cursor, from its position to the end. The next
 * page is under way while one is handed on.
 *
 * @internal
 */
export class JournalReplay {
  constructor(
    private readonly journal: JournalReader,
    private readonly horizon: OffsetHorizon,
    private readonly maxMessageBytes: number,
    /** Resolves once there is room for more messages. */
    private readonly room: () => Promise<void>,
  ) {}

  /**
   * @param isCurrent whether the result is of any use yet
   * @returns whether the chain held
   */
  async run(
    cursor: DeliveryCursor<JournaledMessage>,
    from: string,
    isCurrent: () => boolean,
  ): Promise<boolean> {
    const pager = new JournalPager(
      (offset, count) => this.journal.read(offset, count),
      PAGE,
    );
    const read = (offset: string): Promise<JournalPage> => {
      cursor.beginReading();
      const page = pager.page(offset);
      // The page before may be the last that is handed on.
      page.catch(() => undefined);
      return page;
    };
    let next: Promise<JournalPage> | null = read(from);
    while (next !== null) {
      const { entries, complete }: JournalPage = await next;
      if (!isCurrent()) return true;
      next = complete ? null : read(entries.at(-1)!.offset);
      this.horizon.sawEntry(entries.at(-1)?.offset);
      for (let at = 0; at === 0 || at < entries.length; at += SLICE) {
        const isLast = complete && at + SLICE >= entries.length;
        // Each slice begins with the last entry of the one before.
        const slice = entries.slice(Math.max(0, at - 1), at + SLICE);
        if (!this.#handOn(cursor, slice, isLast)) return false;
        await setImmediate();
        if (!isCurrent()) return true;
      }
      await this.room();
      if (!isCurrent()) return true;
    }
    return true;
  }

  /** @returns whether the chain held */
  #handOn(
    cursor: DeliveryCursor<JournaledMessage>,
    entries: readonly JournalEntry[],
    complete: boolean,
  ): boolean {
    const messages = decodeEntries(entries, this.maxMessageBytes);
    const isReadable = messages.length === entries.length;
    const isLinked = cursor.replay(messages, complete && isReadable);
    return isLinked && isReadable;
  }
}

/**
 * A cursor for the messages of a source.
 *
 * @param bytes that may be held while the journal is read
 * @internal
 */
export function cursorFor(
  sink: CursorSink<JournaledMessage>,
  horizon: OffsetHorizon,
  bytes: number,
): DeliveryCursor<JournaledMessage> {
  return new DeliveryCursor<JournaledMessage>(
    sink,
    {
      held: { messages: HELD_LIMIT, bytes },
      remembered: REMEMBERED_LIMIT,
      horizon,
    },
    sizeOf,
    isSameMessage,
  );
}
