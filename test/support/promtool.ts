import { spawnSync } from 'node:child_process';
import { hasProgram } from './programs.js';

/** Whether this machine has Prometheus' `promtool`: for `describe.runIf(hasPromtool)`. */
export const hasPromtool = hasProgram('promtool');

export interface Verdict {
  readonly ok: boolean;
  /** Output of both streams. */
  readonly said: string;
}

export function promtool(
  args: string[],
  { input = '', cwd }: { input?: string; cwd?: string } = {},
): Verdict {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, {
    input,
    cwd,
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  return { ok: status === 0, said: stdout + stderr };
}
