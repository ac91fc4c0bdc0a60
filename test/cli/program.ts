import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'rolldown';
import { afterAll, beforeAll, expect, inject, onTestFinished } from 'vitest';
import type { Io } from '../../lib/cli/io.js';
import { eventually } from '../support/eventually.js';
import { root } from '../types/compile.js';

/** A run of the program: a process of its own. */
export interface Run {
  readonly child: ChildProcess;
  out(): string;
  err(): string;
  /** Printed lines. */
  lines(): string[];
  /** Exit code, or the signal that killed the program. */
  readonly ended: Promise<number | string | null>;
  /** Resolves once the program is subscribed to the channel. */
  listens(): Promise<void>;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

let folder = '';

/**
 * Bundles the program and its packages from the sources: one file starts in a
 * third of the time that hundreds take. The published program is tested by `npm
 * run check:package`.
 */
export function withProgram(): void {
  beforeAll(async () => {
    const dist = join(root, 'dist');
    mkdirSync(dist, { recursive: true });
    folder = mkdtempSync(join(dist, 'cli-test-'));
    await build({
      cwd: root,
      input: 'lib/cli/main.ts',
      platform: 'node',
      logLevel: 'silent',
      output: { dir: join(folder, 'cli') },
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
}

/** Starts the program, by default on the shared server. */
export function start(
  args: readonly string[],
  { env = {}, cwd = root }: RunOptions = {},
): Run {
  const child = spawn(
    process.execPath,
    [join(folder, 'cli/main.js'), ...args],
    {
      cwd,
      env: {
        PATH: process.env['PATH'],
        REDIS_URL: inject('redisUrl'),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const text = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (more) => (text.out += more));
  child.stderr.setEncoding('utf8').on('data', (more) => (text.err += more));
  const ended = once(child, 'close').then(
    ([code, signal]) => (code ?? signal) as number | string | null,
  );
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    child,
    ended,
    out: () => text.out,
    err: () => text.err,
    lines: () => text.out.split('\n').slice(0, -1),
    listens: () =>
      eventually(() => expect(text.err).toContain('listening on'), patient),
  };
}

/** Runs the program to its end. */
export async function run(
  args: readonly string[],
  options?: RunOptions,
): Promise<{ code: number | string | null; out: string; err: string }> {
  const started = start(args, options);
  const code = await started.ended;
  return { code, out: started.out(), err: started.err() };
}

/** A longer timeout, since processes start slowly on a busy machine. */
export const patient = { timeout: 20_000 };

export function json(line: string): Record<string, unknown> {
  return JSON.parse(line) as Record<string, unknown>;
}

/** Control characters that a terminal would obey instead of showing. */
// oxlint-disable-next-line no-control-regex -- the test looks for them
export const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

/** Input and output for commands that need no process; Redis is unreachable. */
export function recordingIo(): Io & { lines: string[]; notes: string[] } {
  const lines: string[] = [];
  const notes: string[] = [];
  return {
    lines,
    notes,
    env: { REDIS_URL: 'redis://127.0.0.1:1' },
    out: (line) => void lines.push(line),
    note: (line) => void notes.push(line),
    screen: null,
    style: (_, text) => text,
    ask: null,
    stopping: () => new AbortController(),
  };
}
