import { describe, expect, it } from 'vitest';
import {
  formatEntry,
  KIND,
  parseEntry,
} from '../../lib/cache/shared/l2-entry.js';
import {
  serviceMarkKeyOf,
  tierPrefixOf,
} from '../../lib/cache/shared/l2-names.js';

const bytes = Buffer.from('{"a":"ž\n"}');

describe('an entry of the second tier', () => {
  it.each([
    [
      'a value',
      { dependencies: [], kind: KIND.value, bytes },
      '7-3\nv{"a":"ž\n"}',
    ],
    [
      'a value with dependencies',
      { dependencies: ['post:ž', 'user:'], kind: KIND.value, bytes },
      '7-3\nd["post:ž","user:"]\nv{"a":"ž\n"}',
    ],
    [
      'null',
      { dependencies: [], kind: KIND.null, bytes: Buffer.alloc(0) },
      '7-3\nn',
    ],
    [
      'undefined with dependencies',
      {
        dependencies: ['post:1'],
        kind: KIND.undefined,
        bytes: Buffer.alloc(0),
      },
      '7-3\nd["post:1"]\nu',
    ],
  ])('is written and read: %s', (_, parts, text) => {
    const entry = { offset: '7-3', ...parts };
    expect(formatEntry(entry).toString()).toBe(text);
    expect(parseEntry(Buffer.from(text))).toEqual(entry);
  });

  it.each([
    '',
    'v{}',
    '\nv{}',
    '7-3',
    '7-3v{}',
    'x-3\nv{}',
    '7-3\n',
    '7-3\nx{}',
    '7-3\nd["post:1"]',
    '7-3\nd["post:1"]\n',
    '7-3\nd["post:1"]\nx{}',
    '7-3\nd{}\nv{}',
    '7-3\nd\nv{}',
    ' 7-3\nv{}',
  ])('is null for text that was not written as one: %j', (text) => {
    expect(parseEntry(Buffer.from(text))).toBeNull();
  });
});

describe('names of second tiers', () => {
  it('encode their parts, so that two services or owners never share one', () => {
    expect(tierPrefixOf('my:service', undefined)).toBe('near:my%3Aservice:');
    expect(tierPrefixOf('a', 'Users.find#1')).toBe('near:a#Users.find%231:');
    expect(serviceMarkKeyOf('my:service', 'on~a:b')).toBe(
      'near:my%3Aservice~foreign:on~a%3Ab',
    );
  });
});
