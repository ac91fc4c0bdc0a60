import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program that the tests run, where it is on the PATH. */
export function findProgram(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
}

/** Whether to run the tests that need it. In CI always: nothing is skipped there. */
export function hasProgram(name: string): boolean {
  return process.env['CI'] !== undefined || findProgram(name) !== undefined;
}
