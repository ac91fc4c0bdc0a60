import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CacheInvalidationOptions } from 'nestjs-cache-invalidation';
import { variableOf } from '../../lib/cache-invalidation.options.js';
import { expect, test } from 'vitest';
import { root } from './markdown.js';

const ROW =
  /^\| `(?<option>\w+)` +\| (?<default>\S+) +\| `(?<variable>\w+)` +\|/gm;
const rows = [
  ...readFileSync(join(root, 'README.md'), 'utf8').matchAll(ROW),
].map(
  ({ groups }) => groups as Record<'option' | 'default' | 'variable', string>,
);

test('the README lists every option with its default', () => {
  const listed = new Map(rows.map((row) => [row.option, row.default]));
  const real = new Map(
    Object.entries(new CacheInvalidationOptions())
      // Text cannot give it: the README has a section about it.
      .filter(([option]) => option !== 'durableOutbox')
      .map(([option, value]) => [
        option,
        value === undefined ? 'required' : `\`${literal(value)}\``,
      ]),
  );
  expect(listed).toEqual(real);
});

test('and the variable that is read for it', () => {
  expect(rows.map(({ variable }) => variable)).toEqual(
    rows.map(({ option }) => variableOf(option)),
  );
});

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}
