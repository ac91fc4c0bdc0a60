import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  OBJECT_OPTIONS,
  variableOf,
} from '../../lib/cache-invalidation.module-options.js';
import { CacheInvalidationOptions } from '../../lib/cache-invalidation.options.js';
import { expect, test } from 'vitest';
import { root } from './markdown.js';

const ROW =
  /^\| `(?<option>\w+)` +\| (?<default>\S+) +\| (?:`(?<variable>\w+)`|-) +\|/gm;
const rows = [
  ...readFileSync(join(root, 'docs/options.md'), 'utf8').matchAll(ROW),
].map(
  ({ groups }) =>
    groups as { option: string; default: string; variable?: string },
);

test('docs/options.md lists every option with its default', () => {
  const listed = new Map(rows.map((row) => [row.option, row.default]));
  const real = new Map(
    Object.entries(new CacheInvalidationOptions()).map(([option, value]) => [
      option,
      value === undefined ? defaultOf(option) : `\`${literal(value)}\``,
    ]),
  );
  expect(listed).toEqual(real);
});

test('docs/options.md lists the variable of every option that text can express', () => {
  expect(rows.map(({ variable }) => variable)).toEqual(
    rows.map(({ option }) =>
      isObjectOption(option) ? undefined : variableOf(option),
    ),
  );
});

function isObjectOption(option: string): boolean {
  return OBJECT_OPTIONS.some((one) => one === option);
}

function defaultOf(option: string): string {
  return isObjectOption(option) ? 'none' : 'required';
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
}
