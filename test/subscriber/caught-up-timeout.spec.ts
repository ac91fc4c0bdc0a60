import { describe, expect, it } from 'vitest';
import { caughtUpTimeout } from '../../lib/subscriber/caught-up-timeout.js';

describe('caughtUpTimeout()', () => {
  it.each([
    [{}, 1_000],
    [{ timeout: undefined }, 1_000],
    [{ timeout: 0 }, 0],
    [{ timeout: 250 }, 250],
    [{ timeout: Infinity }, Infinity],
    [{ timeout: '5s' }, 5_000],
  ])('reads %o as %d ms', (options, expected) => {
    expect(caughtUpTimeout(options as { timeout: number })).toBe(expected);
  });

  it.each([
    [null, 'null'],
    [undefined, 'undefined'],
    [500, '500'],
    ['soon', '"soon"'],
    [{ timeout: -1 }, '-1'],
    [{ timeout: Number.NaN }, 'NaN'],
    [{ timeout: 'soon' }, '"soon"'],
    [{ timeout: null }, 'null'],
    [{ timeout: 5n }, '5'],
  ])('rejects %o', (options, shown) => {
    expect(() => caughtUpTimeout(options as never)).toThrow(
      `Invalid timeout:\n  - timeout: ${shown} is not valid. ` +
        'Give { timeout } with a number of milliseconds, 0 or more, or a time such as "5s".',
    );
  });
});
