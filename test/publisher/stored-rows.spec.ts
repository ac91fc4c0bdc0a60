import { Logger } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import { encodeMessage, entity, Instance } from '../../lib/message/index.js';
import { StoredRows, type DurableOutbox } from '../../lib/publisher/index.js';
import { remember } from '../../lib/publisher/stored-rows.js';
import { StoredTexts } from '../../lib/publisher/stored-texts.js';
import { ErrorReporter } from '../../lib/stream/index.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

/** Ids or hashes that a set keeps. */
const LIMIT = 10_000;

function reporting() {
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  return { reporter, errors };
}

function makeRows(remove: DurableOutbox['remove'] = async () => {}) {
  const { reporter, errors } = reporting();
  const removed: (readonly string[])[] = [];
  const durableOutbox: DurableOutbox = {
    pending: async () => [],
    remove: (ids) => {
      removed.push(ids);
      return remove(ids);
    },
  };
  return { rows: new StoredRows({ durableOutbox }, reporter), removed, errors };
}

describe('StoredRows', () => {
  it('removes rows once Redis has them, in one call', () => {
    const { rows, removed } = makeRows();
    rows.expect('a');
    rows.expect('b');
    expect([...rows.underWay.keys()]).toEqual(['a', 'b']);
    rows.sent(['a', 'of nobody', 'b']);
    expect(removed).toEqual([['a', 'b']]);
    expect(rows.underWay.size).toBe(0);
    rows.sent(['a']);
    expect(removed).toHaveLength(1);
  });

  it('does not call the application for messages that are not stored', () => {
    const { rows, removed } = makeRows();
    rows.sent(['a', 'b']);
    rows.sent([]);
    expect(removed).toEqual([]);
  });

  it('removes a row once Redis has also what follows from it, in whatever order', () => {
    const { rows, removed } = makeRows();
    rows.expect('a', ['a1', 'a2']);
    expect([...rows.underWay.keys()]).toEqual(['a', 'a1', 'a2']);
    rows.sent(['a1']);
    rows.sent(['a']);
    // The row itself is under way until the end: a sweep must not send it again.
    expect([...rows.underWay.keys()]).toEqual(['a', 'a2']);
    expect(removed).toEqual([]);
    rows.sent(['a2']);
    expect(removed).toEqual([['a']]);
    expect(rows.underWay.size).toBe(0);
  });

  it.each([
    ['the message of the row', 'a'],
    ['a message that follows from it', 'a1'],
  ])(
    'keeps a row for the next sweep if another message replaced %s',
    (_, id) => {
      const { rows, removed } = makeRows();
      rows.expect('a', ['a1']);
      rows.replaced(id);
      rows.sent(['a', 'a1'].filter((other) => other !== id));
      expect(removed).toEqual([]);
      expect(rows.underWay.size).toBe(0);
    },
  );

  it('expects nothing where another process owns the table', () => {
    const { reporter } = reporting();
    const rows = new StoredRows({}, reporter);
    expect(rows.used).toBe(false);
    rows.expect('a');
    expect(rows.underWay.size).toBe(0);
    expect(makeRows().rows.used).toBe(true);
  });

  it('knows the rows that stay while the application cannot remove them, and reports them', async () => {
    let broken = true;
    const { rows, errors } = makeRows(async () => {
      if (broken) throw new Error('read-only');
    });
    const removing = rows.remove(['a', 'b']);
    expect([...rows.staying]).toEqual(['a', 'b']);
    await removing;
    expect([...rows.staying]).toEqual(['a', 'b']);
    expect(errors.map(({ message }) => message)).toEqual([
      'The durable outbox could not remove the rows that were sent: read-only. It is tried again with the next heartbeat; nothing is lost.',
    ]);

    broken = false;
    await rows.remove(['a', 'b']);
    expect(rows.staying.size).toBe(0);
    expect(errors).toHaveLength(1);
  });

  it('remember() starts anew when the set is full', () => {
    const ids = new Set(Array.from({ length: LIMIT - 1 }, (_, id) => `${id}`));
    remember(ids, 'last');
    expect(ids.size).toBe(LIMIT);
    remember(ids, 'first');
    expect([...ids]).toEqual(['first']);
  });
});

describe('StoredRows: the log', () => {
  it('has failed removals and unreadable rows as one source', async () => {
    const lines: unknown[] = [];
    Logger.overrideLogger({
      log: () => {},
      warn: () => {},
      error: (line: unknown) => lines.push(line),
    });
    try {
      const { reporter, errors } = reporting();
      const durableOutbox: DurableOutbox = {
        pending: async () => [],
        remove: async () => {
          throw new Error('read-only');
        },
      };
      await new StoredRows({ durableOutbox }, reporter).remove(['a']);
      new StoredTexts(reporter).read(['nonsense']);
      expect(errors).toHaveLength(2);
      expect(lines).toHaveLength(1);
    } finally {
      Logger.overrideLogger(false);
    }
  });
});

describe('StoredTexts', () => {
  const text = encodeMessage(
    new Instance('test').stamp(entity('User', 1)),
    Infinity,
  );

  it('decodes the rows, and reports each that holds no message once', () => {
    const { reporter, errors } = reporting();
    const texts = new StoredTexts(reporter);
    expect(texts.unreadable).toBe(0);

    const first = texts.read(['one', text, 'two']);
    expect(first.messages).toMatchObject([{ entityId: '1' }]);
    expect(first.isNewUnreadable).toBe(true);
    expect(texts.unreadable).toBe(2);
    expect(errors.map(({ message }) => message)).toEqual(
      Array.from({ length: 2 }, () =>
        expect.stringMatching(
          /^The durable outbox holds a text that is not a message: .+ Everything was invalidated instead\. Look for a column that is too short, and delete the row\.$/,
        ),
      ),
    );

    const again = texts.read(['one', text]);
    expect(again.messages).toHaveLength(1);
    expect(again.isNewUnreadable).toBe(false);
    expect(errors).toHaveLength(2);
    // A row that is known beside one that is new, in either order.
    expect(texts.read(['one', 'three']).isNewUnreadable).toBe(true);
    expect(texts.read(['four', 'one']).isNewUnreadable).toBe(true);
    expect(texts.unreadable).toBe(4);
  });

  it('reads nothing from no rows', () => {
    const { messages, isNewUnreadable } = new StoredTexts(
      reporting().reporter,
    ).read([]);
    expect(messages).toEqual([]);
    expect(isNewUnreadable).toBe(false);
  });

  it('tells values of untyped callers that are no text from each other', () => {
    const { reporter, errors } = reporting();
    const texts = new StoredTexts(reporter);
    const values = [7, null, undefined] as unknown as string[];
    expect(texts.read(values)).toEqual({
      messages: [],
      isNewUnreadable: true,
    });
    expect(texts.unreadable).toBe(3);
    expect(texts.read(values).isNewUnreadable).toBe(false);
    expect(errors).toHaveLength(3);
  });
});
