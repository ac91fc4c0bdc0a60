import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareOffsets,
  isOffset,
  JOURNAL_START,
} from '../../lib/message/index.js';

/** Either part of an ID, in the range of Redis. */
const part = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  // Neighbours that are equal as JavaScript numbers.
  fc.bigInt({ min: 2n ** 53n - 2n, max: 2n ** 53n + 2n }),
  fc.constantFrom(0n, 1n, 9n, 10n, 2n ** 64n - 2n, 2n ** 64n - 1n),
);
const parts = fc.tuple(part, part);
const write = (pair: readonly [bigint, bigint]): string => pair.join('-');

const sign = (difference: bigint): number =>
  Number(difference > 0n) - Number(difference < 0n);

describe('Offsets', () => {
  it('are compared as pairs of 64-bit integers', () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const expected = a[0] === b[0] ? sign(a[1] - b[1]) : sign(a[0] - b[0]);
        expect(Math.sign(compareOffsets(write(a), write(b)))).toBe(expected);
        expect(compareOffsets(write(a), write(a))).toBe(0);
      }),
      { numRuns: 2_000 },
    );
  });

  it('have a total order', () => {
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 20 }), (pairs) => {
        const sorted = pairs.map(write).toSorted(compareOffsets);
        for (const [i, later] of sorted.entries()) {
          for (const earlier of sorted.slice(0, i)) {
            expect(compareOffsets(earlier, later)).toBeLessThanOrEqual(0);
            // No comparison with a negated result, which may be -0.
            expect(compareOffsets(later, earlier) >= 0).toBe(true);
          }
        }
      }),
    );
  });

  it.each([
    ['9-0', '10-0'],
    ['5-9', '5-10'],
    ['9007199254740992-0', '9007199254740993-0'],
    ['1-18446744073709551614', '1-18446744073709551615'],
    [JOURNAL_START, '0-1'],
  ])('%s comes before %s', (earlier, later) => {
    expect(compareOffsets(earlier, later)).toBeLessThan(0);
    expect(compareOffsets(later, earlier)).toBeGreaterThan(0);
  });

  it('are recognized', () => {
    fc.assert(
      fc.property(parts, (pair) => {
        expect(isOffset(write(pair))).toBe(true);
      }),
    );
  });

  it.each([
    '',
    '-',
    '+',
    '$',
    '5',
    '5-',
    '-5',
    '5-*',
    '5-0-0',
    ' 5-0',
    '5-0 ',
    '5-0\n',
    '+5-0',
    '5--1',
    '0x5-0',
    '1e3-0',
    '5.0-0',
    '٥-0',
    '05-0',
    '5-00',
    '18446744073709551616-0',
    '0-18446744073709551616',
    '99999999999999999999-99999999999999999999',
    `${'1'.repeat(21)}-0`,
    `0-${'1'.repeat(21)}`,
    `${'1'.repeat(100_000)}-0`,
    null,
    undefined,
    5,
    5n,
    ['5-0'],
    { toString: () => '5-0' },
  ])('are not recognized in value %#', (value) => {
    expect(isOffset(value)).toBe(false);
  });
});
