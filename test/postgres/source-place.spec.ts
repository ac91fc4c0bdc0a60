import { describe, expect, it } from 'vitest';
import {
  formatPlace,
  missedSince,
  parsePlace,
  type HeldSlot,
} from '../../lib/postgres/wal/source-place.js';

const identity = { server: '77', timeline: '1', start: 's', tables: 'abc' };
const recorded = { identity, lsn: 100n };
const held: HeldSlot = { identity, confirmed: 100n, walEnd: 200n };

describe('the place of the record', () => {
  it('is written without spaces, and read back', () => {
    const text = formatPlace(recorded);
    expect(text).toBe('77.1.s.abc@0/64');
    expect(parsePlace(text)).toEqual(recorded);
    expect(parsePlace(null)).toBeNull();
    expect(parsePlace('1700000000000-0')).toBeNull();
    expect(parsePlace('77.1.s.abc@nowhere')).toBeNull();
  });

  it('says what was missed since then', () => {
    const since = (slot: Partial<HeldSlot>) =>
      missedSince(recorded, { ...held, ...slot });
    expect(missedSince(null, held)).toBe('first-start');
    expect(since({})).toBeNull();
    // Redelivered: the acknowledgement was lost.
    expect(since({ confirmed: 50n })).toBeNull();
    expect(since({ identity: { ...identity, start: 't' } })).toBe('restart');
    expect(since({ confirmed: 101n })).toBe('slot');
    expect(since({ walEnd: 99n, confirmed: 90n })).toBe('rewound');
    expect(since({ identity: { ...identity, server: '78' } })).toBe(
      'other-server',
    );
    expect(since({ identity: { ...identity, timeline: '2' } })).toBe(
      'timeline',
    );
    expect(since({ identity: { ...identity, tables: 'abd' } })).toBe(
      'definition',
    );
  });
});
