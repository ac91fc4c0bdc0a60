/** Loads classes of the library with a fault: one piece of their source is replaced. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import ts from 'typescript';
import type { Code } from './fill-connection.js';

const LIB = new URL('../../lib/', import.meta.url);

/** Files that are loaded anew for each fault; all others are the library's own. */
const ANEW =
  /cache\/near\/(?:near-cache|cache-loader|cache-tiers|flights|l1-tier)|cache\/shared\/(?:l2-tier|l2-commands)|stream\/(?:fences|recent-|early-)|memory-l2/;

export interface Fault {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** @throws Error if the source does not have the piece, or has it twice */
export async function loadWith(fault: Fault): Promise<Code> {
  const isUsed = { value: false };
  const modules = new Map<string, Record<string, unknown>>();
  const load = async (url: URL): Promise<Record<string, unknown>> => {
    const known = modules.get(url.href);
    if (known !== undefined) return known;
    const name = url.href.slice(LIB.href.length);
    if (!ANEW.test(name)) return (await import(url.href)) as never;
    const exports = {};
    modules.set(url.href, exports);
    let source = await readFile(url, 'utf8');
    if (name === fault.file) {
      if (source.split(fault.from).length !== 2) {
        throw new Error(`Not once in ${name}: ${fault.from}`);
      }
      source = source.replace(fault.from, () => fault.to);
      isUsed.value = true;
    }
    await evaluate(source, url, exports, load);
    return exports;
  };
  const at = (file: string) => load(new URL(file, LIB));
  const code = {
    ...(await at('cache/near/near-cache.ts')),
    ...(await at('cache/shared/l2-tier.ts')),
    ...(await at('stream/fences.ts')),
    ...(await at('transport/memory/memory-l2.store.ts')),
  };
  if (!isUsed.value) throw new Error(`Not loaded: ${fault.file}`);
  return code as unknown as Code;
}

async function evaluate(
  source: string,
  url: URL,
  exports: object,
  load: (url: URL) => Promise<Record<string, unknown>>,
): Promise<void> {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2023,
    },
  });
  const imports = new Map<string, unknown>();
  for (const [, path] of outputText.matchAll(/require\("(\..*?)"\)/g)) {
    const file = new URL(path!.replace(/\.js$/, '.ts'), url);
    imports.set(path!, await load(file));
  }
  const outer = createRequire(url);
  const require = (path: string): unknown => imports.get(path) ?? outer(path);
  // oxlint-disable-next-line typescript/no-implied-eval -- the source is the library's own
  new Function('require', 'exports', outputText)(require, exports);
}
