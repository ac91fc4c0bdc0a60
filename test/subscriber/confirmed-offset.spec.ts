import { describe, expect, it } from 'vitest';
import { ConfirmedOffset } from '../../lib/subscriber/confirmed-offset.js';
import type { JournalReader } from '../../lib/subscriber/journal-reader.js';

/** A journal whose answers the test gives, in order. */
function startAsking() {
  const questions: {
    offset: string;
    answer(has: boolean): void;
    fail(): void;
  }[] = [];
  let cancelled = 0;
  const journal = {
    has: (offset: string) =>
      new Promise<boolean>((resolve, reject) =>
        questions.push({
          offset,
          answer: resolve,
          fail: () => reject(new Error('away')),
        }),
      ),
    cancel: () => cancelled++,
  };
  const confirmed = new ConfirmedOffset(journal as unknown as JournalReader);
  return { confirmed, questions, cancelled: () => cancelled };
}

describe('ConfirmedOffset', () => {
  it('answers all calls for one offset with one reading', async () => {
    const { confirmed, questions } = startAsking();
    const answers = [confirmed.has('1-0'), confirmed.has('1-0')];
    expect(questions.map(({ offset }) => offset)).toEqual(['1-0']);
    questions[0]!.answer(true);
    expect(await Promise.all(answers)).toEqual([true, true]);
    expect(await confirmed.has('1-0')).toBe(true);
    expect(questions).toHaveLength(1);
  });

  it.each(['answer', 'fail'] as const)(
    'is false where the journal lacks the offset or cannot be read (%s), and reads again at the next call',
    async (how) => {
      const { confirmed, questions } = startAsking();
      const first = confirmed.has('1-0');
      questions[0]![how](false);
      expect(await first).toBe(false);
      const second = confirmed.has('1-0');
      questions[1]!.answer(true);
      expect(await second).toBe(true);
    },
  );

  it('keeps the answer for a later offset when an earlier one is not there', async () => {
    const { confirmed, questions } = startAsking();
    const first = confirmed.has('1-0');
    const second = confirmed.has('2-0');
    questions[1]!.answer(true);
    questions[0]!.answer(false);
    expect(await first).toBe(false);
    expect(await second).toBe(true);
    expect(await confirmed.has('2-0')).toBe(true);
    expect(questions).toHaveLength(2);
  });

  it('ends a reading under way', () => {
    const { confirmed, cancelled } = startAsking();
    confirmed.cancel();
    expect(cancelled()).toBe(1);
  });
});
