/**
 * All processes of a run. However this process ends, SIGKILL included, its
 * children end too.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Child -> its process id, negative for that of its group. */
const children = new Map();
const folder = mkdtempSync(join(tmpdir(), 'chaos-'));
// PostgreSQL runs as another user, and has a folder in it.
chmodSync(folder, 0o711);
whenEnded('rm -rf "$1"', folder);
process.once('exit', () => {
  for (const pid of children.values()) kill(pid);
  rmSync(folder, { recursive: true, force: true });
});

/** A new folder for one server, removed at the end of the run. */
export function workFolder() {
  return mkdtempSync(join(folder, 'server-'));
}

/**
 * Makes the child end when this process does.
 *
 * @param group whether the child has a process group of its own, which ends with it
 */
export function adopt(child, { group = false } = {}) {
  const pid = group ? -child.pid : child.pid;
  children.set(child, pid);
  const guard = whenEnded('kill -s KILL -- "$1"', String(pid));
  child.once('exit', () => {
    children.delete(child);
    // The process id may soon belong to another process.
    guard.kill('SIGKILL');
  });
  return child;
}

export function hasExited(child) {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Sends SIGKILL, which also ends a stopped process. */
export async function end(child) {
  if (hasExited(child)) return;
  const exited = once(child, 'exit');
  kill(children.get(child));
  await exited;
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has just ended.
  }
}

/**
 * A shell that waits for its stdin to close, which the kernel does when this
 * process ends. A listener in this process would not be called on SIGKILL.
 */
export function whenEnded(command, argument) {
  const script = `trap "" INT TERM HUP; read _; ${command}`;
  const shell = spawn('/bin/sh', ['-c', script, 'guard', argument], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  shell.stdin.unref();
  return shell;
}
