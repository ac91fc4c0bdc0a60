import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { decodeMessage } from 'nestjs-cache-invalidation/wire';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { blocksOf, markdownFiles, root, type Block } from './markdown.js';

/** Fragments in the API reference, which are not compiled; complete examples are. */
const isGlance = ({ file, code }: Block): boolean =>
  file.startsWith('docs/api/') && !code.includes('import ');
const blocks = markdownFiles()
  .flatMap(blocksOf)
  .filter((block) => !isGlance(block));
const script = blocks.filter(({ language }) => language === 'ts');

describe('TypeScript blocks of the documentation', () => {
  const sources = new Map<string, string>();
  const nameOf = (block: Block): string =>
    block.path === null
      ? join(
          root,
          'test/docs/virtual',
          `${block.file.replaceAll('/', '-')}-${block.line}.ts`,
        )
      : join(root, 'test/docs/virtual', block.path);
  for (const block of script) {
    sources.set(nameOf(block), `${block.given}\n${block.code}\nexport {};\n`);
  }
  const mistake = join(root, 'test/docs/virtual/mistake.ts');
  sources.set(
    mistake,
    `import { entity } from 'nestjs-cache-invalidation'; entity('User', {});`,
  );
  // Merging into an interface of the library affects the whole program.
  const merges = ([, text]: [string, string]): boolean =>
    text.includes('declare module');
  const all = [...sources];
  const errors = new Map([
    ...compile(new Map(all.filter((source) => !merges(source)))),
    ...all.filter(merges).flatMap((source) => [...compile(new Map([source]))]),
  ]);

  test('are found', () => expect(script.length).toBeGreaterThan(10));

  test.each(
    script.map((block) => [`${block.file}:${block.line}`, block] as const),
  )('%s compiles', (_, block) =>
    expect(errors.get(nameOf(block)) ?? []).toEqual([]),
  );

  test('do not compile with a mistake', () =>
    expect(errors.get(mistake)).toHaveLength(1));
});

describe('other blocks of the documentation', () => {
  test.each(
    blocks
      .filter(({ language, path }) => language === 'json' && path === null)
      .map((b) => [b.line, b] as const),
  )('JSON in line %i is a message', (_, { code }) =>
    expect(decodeMessage(code, 1_000_000).widened).toBeNull(),
  );

  const { scripts } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as {
    scripts: Record<string, string>;
  };
  const commands = blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ code }) => [...code.matchAll(/npm run ([\w:]+)/g)])
    .map((match) => match[1]!);

  test.each([...new Set(commands)])('npm run %s exists', (name) =>
    expect(Object.keys(scripts)).toContain(name),
  );
});

/** Error messages by file. */
function compile(sources: Map<string, string>): Map<string, string[]> {
  const config = ts.readConfigFile(
    join(root, 'tsconfig.json'),
    ts.sys.readFile,
  );
  const { options } = ts.parseJsonConfigFileContent(
    config.config,
    ts.sys,
    root,
  );
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile, directoryExists } = host;
  const folders = new Set([...sources.keys()].map((name) => dirname(name)));
  host.fileExists = (name) => sources.has(name) || fileExists(name);
  host.readFile = (name) => sources.get(name) ?? readFile(name);
  host.directoryExists = (name) =>
    [...folders].some((folder) => folder.startsWith(name)) ||
    directoryExists!(name);
  host.getSourceFile = (name, version, ...rest) => {
    const text = sources.get(name);
    return text === undefined
      ? getSourceFile(name, version, ...rest)
      : ts.createSourceFile(name, text, version, true);
  };
  const program = ts.createProgram([...sources.keys()], options, host);
  const found = new Map<string, string[]>();
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const name = diagnostic.file?.fileName ?? '';
    const message = ts.flattenDiagnosticMessageText(
      diagnostic.messageText,
      '\n',
    );
    found.set(name, [...(found.get(name) ?? []), message]);
  }
  return found;
}
