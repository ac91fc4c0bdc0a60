import { describe, expect, it } from 'vitest';
import { batch, entity, pattern, sizeOf } from '../../lib/message/index.js';

describe('The size of a message', () => {
  it('is that of its object and its texts', () => {
    expect(sizeOf(entity('User', '123'))).toBe(503);
    expect(sizeOf(pattern('feed:*'))).toBe(506);
  });

  it('counts every key and every value of its metadata', () => {
    const list = 16;
    const none = 16;
    const text = (length: number): number => 16 + length;
    expect(sizeOf(batch(['user:1', 'a:b']))).toBe(
      500 + list + (list + text(6) + text(3)) + none,
    );
    const sized = (metadata: unknown): number =>
      sizeOf(entity('User', '1', { metadata })) - 501 - list - none;
    expect(sized(5)).toBe(16);
    expect(sized(false)).toBe(16);
    expect(sized('abc')).toBe(text(3));
    expect(sized([1, 'ab', null])).toBe(list + 16 + text(2) + none);
    expect(sized({ key: 'ab', n: { deep: 1 } })).toBe(
      16 + 3 + text(2) + 1 + (16 + 4 + 16),
    );
  });

  it('counts the position of its commit, and its id beside metadata', () => {
    const at = { pg: '0/16B3748' };
    expect(sizeOf({ ...entity('User', '123'), at })).toBe(
      503 + (16 + 16 + 16) + (16 + 2 + 16 + 9),
    );
  });

  it('is the same when it is measured again', () => {
    const message = batch(['user:1']);
    expect(sizeOf(message)).toBe(sizeOf(message));
  });
});
