import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { markdownFiles, root } from './markdown.js';

const LINK = /\]\((?!\w+:)(?<path>[^)#\s]*)(?:#(?<anchor>[^)\s]+))?\)/g;

/** Text without fenced blocks, where brackets have another meaning. */
function proseOf(file: string): string {
  return readFileSync(join(root, file), 'utf8').replace(
    /^ *```[^]*?^ *```$/gm,
    '',
  );
}

/** Anchors as GitHub derives them from headings; the API reference also has its own. */
function anchorsOf(file: string): Set<string> {
  const text = proseOf(file);
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
  const given = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!);
  return new Set([...headings, ...given]);
}

function brokenLinksIn(file: string): string[] {
  return [...proseOf(file).matchAll(LINK)]
    .filter(({ groups }) => {
      const { path = '', anchor } = groups!;
      const target =
        path === '' ? file : relative(root, join(root, dirname(file), path));
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !anchorsOf(target).has(anchor);
    })
    .map(([link]) => link);
}

test.each(markdownFiles().filter((file) => !file.startsWith('docs/api/')))(
  'the links of %s exist',
  (file) => expect(brokenLinksIn(file)).toEqual([]),
);
