import { describe, expect, it } from 'vitest';
import {
  formatToken,
  mergeToken,
  offsetsIn,
  parseToken,
  positionIn,
  tokenOf,
  POSITION,
} from '../../lib/http/read-token.js';
import { isRegion, parseLsn } from '../../lib/message/index.js';

describe('the header of ReadYourWritesInterceptor', () => {
  it('is one offset without regions', () => {
    expect([...parseToken('5-1', '')]).toEqual([['', '5-1']]);
    expect(formatToken(parseToken('5-1', ''))).toBe('5-1');
  });

  it('has an offset for each region', () => {
    const token = parseToken('eu=5-1, us=7-2', 'eu');
    expect([...token]).toEqual([
      ['eu', '5-1'],
      ['us', '7-2'],
    ]);
    expect(formatToken(token)).toBe('eu=5-1,us=7-2');
  });

  it.each([
    undefined,
    ['5-1'],
    '',
    'eu',
    'eu=',
    'eu=x',
    'e:u=5-1',
    '=5-1',
    `eu=5-1,${'x'.repeat(1_024)}`,
  ])('leaves out what it cannot read: %j', (header) => {
    expect([...parseToken(header, 'eu')]).toEqual([]);
  });

  it('is bounded', () => {
    const header = Array.from({ length: 40 }, (_, at) => `r${at}=1-1`).join();
    expect(parseToken(header, 'eu').size).toBe(17);
  });

  it.each([
    ['', '5-1', '5-1,@pg=22-3731723336', '16/DE6D9448'],
    ['eu', '5-1', 'eu=5-1,@pg=4294967295-4294967295', 'FFFFFFFF/FFFFFFFF'],
    ['', null, '@pg=0-0', '0/0'],
  ])(
    'has the position of the last commit as a part of its own (region %j)',
    (local, offset, header, lsn) => {
      const token = tokenOf(local, offset, parseLsn(lsn));
      expect(formatToken(token)).toBe(header);
      const read = parseToken(header, local);
      expect(read).toEqual(token);
      expect(positionIn(read)).toEqual({ pg: lsn });
      expect(offsetsIn(read)).toEqual(offset === null ? [] : [[local, offset]]);
    },
  );

  it('is no offset of a region to instances that know no positions', () => {
    expect(isRegion(POSITION)).toBe(false);
  });

  it.each([
    '@pg=',
    '@pg=0/16B3748',
    '@pg=4294967296-0',
    '@pg=0-4294967296',
    '@pg=18446744073709551615-18446744073709551615',
    '@pg=-1-0',
    '@pg=1-1-1',
    '@mysql=1-1',
    '@pg',
    '@pg=01-1',
  ])('leaves out a position that is none: %j', (header) => {
    const token = parseToken(`5-1,${header}`, '');
    expect([...token]).toEqual([['', '5-1']]);
    expect(positionIn(token)).toBeNull();
  });

  it('keeps the later position', () => {
    const token = parseToken('5-1,@pg=9-7', '');
    expect(mergeToken(token, parseToken('@pg=9-6', ''))).toBe(false);
    expect(mergeToken(token, parseToken('@pg=10-0', ''))).toBe(true);
    expect(formatToken(token)).toBe('5-1,@pg=10-0');
  });

  it('keeps the later offset of each region', () => {
    const token = parseToken('eu=5-1,us=7-2', 'eu');
    expect(mergeToken(token, parseToken('eu=4-9', 'eu'))).toBe(false);
    expect(mergeToken(token, parseToken('eu=10-0,ap=1-1', 'eu'))).toBe(true);
    expect(formatToken(token)).toBe('eu=10-0,us=7-2,ap=1-1');
  });
});
