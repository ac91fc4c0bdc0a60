import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidMessageError } from '../../lib/errors/index.js';
import {
  checkPosition,
  formatLsn,
  laterPosition,
  parseLsn,
  type CommitPosition,
} from '../../lib/message/index.js';

describe('laterPosition()', () => {
  it.each<[string, CommitPosition | null, CommitPosition | null, unknown]>([
    ['by number, not by text', { pg: '0/A0' }, { pg: '0/9' }, { pg: '0/A0' }],
    ['in each order', { pg: '0/9' }, { pg: '0/A0' }, { pg: '0/A0' }],
    ['by the upper half', { pg: '0/FF' }, { pg: '1/0' }, { pg: '1/0' }],
    ['of an unknown one and another', null, { pg: '1/0' }, null],
    ['of one and an unknown one', { pg: '1/0' }, null, null],
    ['of two unknown ones', null, null, null],
    ['of two kinds', { pg: '1/0' }, { mysql: '1/0' }, null],
    ['of a kind that is a part', { pg: '1/0' }, { pg: '1/0', b: '1' }, null],
    ['of a part', { pg: '1/0', b: '1' }, { pg: '1/0' }, null],
    ['of another kind', { mysql: 'a:1' }, { mysql: 'a:2' }, null],
    ['of another kind, equal', { mysql: 'a' }, { mysql: 'a' }, { mysql: 'a' }],
    ['of what is no position', { pg: '1/0' }, { pg: 'x' }, null],
    ['of nothing', {}, {}, null],
    ['of a prototype', { toString: 'x' }, { pg: '0/1' }, null],
  ])('is the later one %s', (_, one, other, later) => {
    expect(laterPosition(one, other)).toEqual(later);
  });

  it('is never earlier than any of many', () => {
    const lsn = fc.bigInt(0n, 2n ** 64n - 1n);
    fc.assert(
      fc.property(fc.array(fc.option(lsn), { minLength: 1 }), (all) => {
        const later = all
          .map((each): CommitPosition | null =>
            each === null ? null : { pg: formatLsn(each) },
          )
          .reduce(laterPosition);
        const known = all.filter((each) => each !== null);
        const latest = known.reduce((a, b) => (a > b ? a : b), 0n);
        expect(later && parseLsn(later['pg']!)).toBe(
          known.length < all.length ? null : latest,
        );
      }),
    );
  });
});

describe('checkPosition()', () => {
  it('copies what is right', () => {
    const given = { pg: '0/16B3748', mysql: 'uuid:1-5' };
    const position = checkPosition(given);
    expect(position).toEqual(given);
    given.pg = '0/1';
    expect(position['pg']).toBe('0/16B3748');
    expect(checkPosition({ mysql: 'uuid:1-5' })).toEqual({ mysql: 'uuid:1-5' });
  });

  it.each([
    null,
    {},
    '0/16B3748',
    ['0/16B3748'],
    { pg: 'x' },
    { pg: 1 },
    { pg: '0/123456789' },
    { mysql: '\uD800' },
    { mysql: 'x'.repeat(10_000) },
    Object.fromEntries('abcdefghi'.split('').map((name) => [name, '1'])),
    Promise.resolve({ pg: '0/1' }),
  ])('refuses %j', (given) => {
    expect(() => checkPosition(given)).toThrow(InvalidMessageError);
  });
});
