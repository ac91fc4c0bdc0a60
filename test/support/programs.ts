import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Path of a program that the tests run, if it is on the PATH. */
export function findProgram(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

/**
 * Whether to run the tests that need the program. Always true in CI, where
 * nothing may be skipped.
 */
export function hasProgram(name: string): boolean {
  return process.env['CI'] !== undefined || findProgram(name) !== undefined;
}
