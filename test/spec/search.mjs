import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Memory that one search may use, in megabytes. */
const MEMORY_MB = 3_800;
/** Steps from the first state to the last; a longer path fails the run. */
const DEPTH = 1_000_000;

/** @returns the programs that are missing */
export function availableTools() {
  return ['spin', 'cc'].filter(
    (name) => spawnSync(name, [name === 'spin' ? '-V' : '--version']).error,
  );
}

/**
 * Compiles one run of a model in a folder of its own, and searches all its states:
 * no state is approximated, and no path is cut off.
 */
export async function search({ file, defines, property }, signal) {
  const folder = mkdtempSync(join(tmpdir(), 'spec-'));
  const start = performance.now();
  try {
    const isSafety = property === 'safety';
    const flags = defines.map((each) => `-D${each.replace(/^-D/, '')}`);
    const make = async (command, ...args) => {
      const made = await execute(command, args, folder, signal);
      if (made.code !== 0 || /\bError:/.test(made.output)) {
        throw new Error(`${command} failed for ${file}:\n${made.output}`);
      }
    };
    await make('spin', ...flags, '-a', join(import.meta.dirname, file));
    await make(
      'cc',
      '-w',
      '-O1',
      '-DVECTORSZ=2048',
      `-DMEMLIM=${MEMORY_MB}`,
      ...(isSafety ? ['-DSAFETY', '-DNOCLAIM'] : ['-DNFAIR=4']),
      '-o',
      'pan',
      'pan.c',
    );
    const { output } = await execute(
      './pan',
      [`-m${DEPTH}`, ...(isSafety ? [] : ['-a', '-f', '-N', property])],
      folder,
      signal,
    );
    return { ...judge(output), seconds: (performance.now() - start) / 1_000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Judges the report of a search. */
function judge(output) {
  const states = Number(
    /(\d+(?:\.\d+)?(?:e\+\d+)?) states, stored/.exec(output)?.[1] ?? 0,
  );
  const errors = /errors: (\d+)/.exec(output)?.[1];
  const detail =
    /^pan:1: (.*?)(?: \(at depth \d+\))?$/m.exec(output)?.[1] ?? '';
  const found = (word) => ({ found: word, states, detail });
  if (/max search depth too small/.test(output))
    return found('depth too small');
  // Assertions of a model's bounds name this variable, which is never set.
  if (/bound_too_small/.test(detail)) return found('bound too small');
  if (errors === '1') return found('violated');
  if (/out of memory|memory limit|MEMLIM/.test(output))
    return found('no memory');
  if (errors !== '0') return { ...found('no result'), detail: output.trim() };
  return found('holds');
}

/** @returns the exit code and what the program wrote; rejects if it was interrupted */
export function execute(command, args, cwd, signal) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      // Its temporary files go with the folder, if it is killed.
      env: { ...process.env, TMPDIR: cwd },
      signal,
      killSignal: 'SIGKILL',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => {
      if (signal.aborted) reject(new Error('Interrupted.'));
      else resolve({ code, output });
    });
  });
}
