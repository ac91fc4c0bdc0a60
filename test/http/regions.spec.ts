import { describe, expect, it } from 'vitest';
import {
  formatToken,
  mergeToken,
  parseToken,
} from '../../lib/http/read-token.js';

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
    expect(parseToken(header, 'eu').size).toBe(16);
  });

  it('keeps the later offset of each region', () => {
    const token = parseToken('eu=5-1,us=7-2', 'eu');
    expect(mergeToken(token, parseToken('eu=4-9', 'eu'))).toBe(false);
    expect(mergeToken(token, parseToken('eu=10-0,ap=1-1', 'eu'))).toBe(true);
    expect(formatToken(token)).toBe('eu=10-0,us=7-2,ap=1-1');
  });
});
