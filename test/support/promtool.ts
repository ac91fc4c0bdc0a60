import { spawnSync } from 'node:child_process';

/** Whether this machine has Prometheus' `promtool`. In CI it must: nothing is skipped there. */
export const hasPromtool =
  process.env['CI'] !== undefined ||
  spawnSync('promtool', ['--version']).error === undefined;

export interface Verdict {
  readonly ok: boolean;
  /** Both streams. */
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
