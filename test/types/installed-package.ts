import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll } from 'vitest';
import { root } from './compile.js';
import { fileOf, ENTRIES } from './surface.js';

/** Compiler options by which the package's declarations are built. */
function buildOptions(outDir: string): ts.CompilerOptions {
  const file = join(root, 'lib/tsconfig.lib.json');
  const { config } = ts.readConfigFile(file, ts.sys.readFile) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(
    config,
    ts.sys,
    join(root, 'lib'),
  );
  return { ...options, emitDeclarationOnly: true, noCheck: true, outDir };
}

/**
 * Installs the declarations of `lib`, as npm would, into a folder that is removed
 * after the tests of the file.
 *
 * @returns the folder: a project that has the package as a dependency
 */
export function installPackage(): string {
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'types-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const home = join(folder, 'node_modules/nestjs-cache-invalidation');
  const options = buildOptions(join(home, 'dist/lib'));
  ts.createProgram(ENTRIES.map(fileOf), options).emit();
  cpSync(join(root, 'package.json'), join(home, 'package.json'));
  // Without a package.json of its own the folder would belong to this package, whose
  // name then leads to its last build.
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return folder;
}
