import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CacheInvalidationOptions } from 'nestjs-cache-invalidation';
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
  const listed = rows.map((row) => [row.option, row.default]);
  const real = Object.entries(new CacheInvalidationOptions()).map(
    ([option, value]) => [
      option,
      value === undefined
        ? 'required'
        : `\`${typeof value === 'string' ? `'${value}'` : String(value)}\``,
    ],
  );
  expect(listed.toSorted()).toEqual(real.toSorted());
});

test('and the variable that the code reads', () => {
  const source = readFileSync(
    join(root, 'lib/cache-invalidation.config.ts'),
    'utf8',
  );
  const read = [...source.matchAll(/^ {2}(\w+): \['(\w+)', \w+\]/gm)].map(
    ([, option, variable]) => [option, variable],
  );
  expect(rows.map((row) => [row.option, row.variable]).toSorted()).toEqual(
    read.toSorted(),
  );
});
