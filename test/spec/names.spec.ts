import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const REFERENCE = /(?<file>lib\/[\w/.-]+\.ts)(?<names>(?:[\s*]*#\w+)*)/g;

interface Reference {
  readonly file: string;
  readonly name: string;
}

/** Code that a model stands for: a path, and the functions after it. */
function referencesOf(model: string): Reference[] {
  const text = readFileSync(join(import.meta.dirname, model), 'utf8');
  return [...text.matchAll(REFERENCE)].flatMap(({ groups }) =>
    [...groups!['names']!.matchAll(/#(\w+)/g)].map(([, name]) => ({
      file: groups!['file']!,
      name: name!,
    })),
  );
}

function exists({ file, name }: Reference): boolean {
  if (!existsSync(join(root, file))) return false;
  const text = readFileSync(join(root, file), 'utf8');
  return new RegExp(`(?:^|\\W)${name}(?:<[^>]*>)?\\(`, 'm').test(text);
}

const models = readdirSync(import.meta.dirname).filter((name) =>
  name.endsWith('.pml'),
);

describe('The models name code that exists', () => {
  it.each(models)('%s', (model) => {
    expect(
      referencesOf(model).filter((reference) => !exists(reference)),
    ).toEqual([]);
  });

  it('and name it at all', () => {
    const references = models.flatMap(referencesOf);
    expect(references.length).toBeGreaterThan(30);
    expect(
      exists({ file: 'lib/stream/delivery-cursor.ts', name: 'gone' }),
    ).toBe(false);
  });
});
