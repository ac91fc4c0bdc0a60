import { expect } from 'vitest';
import type { Finding } from '../../lib/cli/doctor/finding.js';
import { runProgram } from '../../lib/cli/program.js';
import { json, recordingIo } from './program.js';

export interface Report {
  readonly code: number;
  readonly status: string;
  readonly checks: readonly (Finding & { name: string })[];
  readonly of: (name: string) => Finding;
}

/** Runs `doctor` in this process. */
export async function doctorReport(...words: string[]): Promise<Report> {
  const io = recordingIo();
  const code = await runProgram(['doctor', '--json', ...words], io);
  expect(io.notes).toEqual([]);
  const { status, checks } = json(io.lines.join('')) as Pick<
    Report,
    'status' | 'checks'
  >;
  return {
    code,
    status,
    checks,
    of: (check) => checks.find(({ name }) => name === check)!,
  };
}
