import { describe, expect, it } from 'vitest';
import { JournalFollower } from '../../lib/cli/journal-follower.js';
import { readMessage } from '../../lib/cli/received-message.js';
import type { RedisLink } from '../../lib/cli/redis-link.js';
import { wire } from '../subscriber/setup.js';

/** A journal whose end the test sets, and a follower that starts there. */
function follow() {
  const shown: (string | null)[] = [];
  let answer!: (tail: string) => void;
  const tail = new Promise<string>((resolve) => (answer = resolve));
  const said = (id: string): string =>
    wire(id, { offset: `${id}-0`, previous: `${Number(id) - 1}-0` });
  const link = {
    client: { status: 'ready' },
    journal: {
      tail: () => tail,
      read: async (from: string) => [
        { offset: from, payload: said(from.split('-')[0]!) },
      ],
    },
    within: <T>(_what: string, promise: Promise<T>): Promise<T> => promise,
  } as unknown as RedisLink;
  const follower = new JournalFollower(link, {
    begin: async () => null,
    show: ({ message }) => shown.push(message!.entityId),
    note: (note) => shown.push(note),
  });
  return {
    shown,
    answer,
    caughtUp: follower.catchUp(),
    deliver: (id: string) => follower.receive(readMessage(said(id), false)),
  };
}

const settled = (): Promise<void> =>
  new Promise((resolve) => setImmediate(resolve));

describe('JournalFollower: a message at the end of the journal during the first query', () => {
  it('shows it once if it was received before the reply', async () => {
    const { shown, answer, caughtUp, deliver } = follow();
    deliver('5');
    answer('5-0');
    await caughtUp;
    deliver('5');
    deliver('6');
    await settled();

    expect(shown).toEqual(['5', '6']);
  });

  it('shows it once if it is received after the reply', async () => {
    const { shown, answer, caughtUp, deliver } = follow();
    answer('5-0');
    await caughtUp;
    deliver('5');
    await settled();
    deliver('6');
    deliver('6');
    await settled();

    expect(shown).toEqual(['5', '6']);
  });
});
