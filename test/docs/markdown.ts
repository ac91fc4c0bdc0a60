import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A fenced block of a Markdown file. */
export interface Block {
  readonly file: string;
  readonly line: number;
  readonly language: string;
  readonly code: string;
  /**
   * File that the block is for, from a `<!-- quick-start: … -->` or `<!--
   * guide: … -->` comment.
   */
  readonly path: string | null;
  /** Declarations that the block relies on, from a `<!-- given … -->` comment. */
  readonly given: string;
}

const BLOCK =
  /(?:<!-- given\n(?<given>[^]*?)-->\n+)?(?:<!-- (?<of>quick-start|guide): (?<path>\S+) -->\n+)?^```(?<language>\w+)\n(?<code>[^]*?)^```$/gm;

export const root = join(import.meta.dirname, '../..');

export function markdownFiles(): string[] {
  const docs = readdirSync(join(root, 'docs'), { recursive: true })
    .map((name) => join('docs', String(name)))
    .filter((name) => name.endsWith('.md'));
  return ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs];
}

export function blocksOf(file: string): Block[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(BLOCK)].map((match) => ({
    file,
    line: text.slice(0, match.index).split('\n').length,
    language: match.groups!['language']!,
    code: match.groups!['code']!,
    path: pathOf(match.groups!),
    given: match.groups!['given'] ?? '',
  }));
}

/** Each application's files in a folder of their own. */
function pathOf({
  of,
  path,
}: Record<string, string | undefined>): string | null {
  return path === undefined ? null : join(of!, path);
}
