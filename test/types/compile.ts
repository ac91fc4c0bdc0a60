import { fileURLToPath } from 'node:url';
import { join, relative } from 'node:path';
import ts from 'typescript';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** An error of the compiler, with its place and its full text. */
export interface CompileError {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** The project's own compiler options. */
export function compilerOptions(
  changes: ts.CompilerOptions,
): ts.CompilerOptions {
  const { config } = ts.readConfigFile(
    join(root, 'tsconfig.json'),
    ts.sys.readFile,
  ) as { config: unknown };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  return { ...options, ...changes };
}

/**
 * Parsed files, since files on the disk do not change in a test and parsing
 * takes seconds.
 */
const parsed = new Map<string, ts.SourceFile | undefined>();

/**
 * Compiles one file that need not exist, as a program of its own: its declarations
 * reach no other test.
 *
 * @param name the place of the file, which decides how its imports are resolved
 */
export function compile(
  name: string,
  text: string,
  changes: ts.CompilerOptions = {},
): ts.Program {
  const options = compilerOptions(changes);
  const host = ts.createCompilerHost(options);
  const { fileExists, getSourceFile } = host;
  host.fileExists = (file) => file === name || fileExists(file);
  host.getSourceFile = (file, language) => {
    if (file === name) return ts.createSourceFile(file, text, language);
    if (!parsed.has(file)) parsed.set(file, getSourceFile(file, language));
    return parsed.get(file);
  };
  return ts.createProgram([name], options, host);
}

/** Errors in the files of a program that are in a folder, or are that file. */
export function errorsIn(program: ts.Program, path: string): CompileError[] {
  const files = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName.startsWith(path));
  return files
    .flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ])
    .map(describe);
}

function describe({ file, start, messageText }: ts.Diagnostic): CompileError {
  const { line } = file!.getLineAndCharacterOfPosition(start!);
  return {
    file: relative(root, file!.fileName),
    line: line + 1,
    text: ts.flattenDiagnosticMessageText(messageText, '\n'),
  };
}
