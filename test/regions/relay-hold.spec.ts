import { describe, expect, it, onTestFinished } from 'vitest';
import { RelayHold } from '../../lib/regions/relay-hold.js';
import type { RelayRecord } from '../../lib/transport/index.js';
import { eventually } from '../support/eventually.js';

/** A record that one relay at a time holds. */
class HeldRecord {
  holder: string | null = null;

  as(id: string): RelayRecord {
    const unused = (): never => {
      throw new Error('A hold does not call it.');
    };
    return {
      read: unused,
      forward: unused,
      prove: unused,
      proofAge: unused,
      hold: async () => (this.holder ??= id) === id,
      release: async () => {
        if (this.holder === id) this.holder = null;
      },
    };
  }
}

function start(record: HeldRecord, id: string, onTaken: () => void) {
  const seen: string[] = [];
  const hold = new RelayHold(record.as(id), {
    onTaken: () => {
      onTaken();
      seen.push('taken');
    },
    onLost: () => seen.push('lost'),
    onFailed: ({ message }) => seen.push(message),
  });
  hold.start(5);
  onTestFinished(() => hold.stop());
  return { hold, seen };
}

const fail = (): void => {
  throw new Error('no such address');
};

describe('RelayHold', () => {
  it('reports a relay that cannot begin its work, which tries again', async () => {
    let broken = true;
    const { hold, seen } = start(new HeldRecord(), 'one', () => {
      if (broken) fail();
    });
    await eventually(() =>
      expect(seen.slice(0, 2)).toEqual(['no such address', 'lost']),
    );
    broken = false;
    await eventually(() => expect(seen.at(-1)).toBe('taken'));
    expect(hold.isHeld).toBe(true);
  });

  it('gives way to another relay where one cannot begin its work', async () => {
    const record = new HeldRecord();
    const one = start(record, 'one', fail);
    const other = start(record, 'other', () => undefined);
    await eventually(() => expect(other.hold.isHeld).toBe(true));
    expect(one.hold.isHeld).toBe(false);
    expect(one.seen).toContain('no such address');
  });
});
