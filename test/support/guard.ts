import { spawn, type ChildProcess } from 'node:child_process';

/**
 * Ends a server when this process ends, however it does: a shell waits for its
 * stdin to close. An `exit` listener would not do, for vitest ends its workers
 * by SIGTERM, on which Node runs none.
 *
 * @param pid of the server; of its process group if it is negative
 * @param dir removed then
 */
export function guard(child: ChildProcess, pid: number, dir: string): void {
  const script =
    'trap "" INT TERM HUP; read _; kill -s KILL -- "$1"; rm -rf "$2"';
  const shell = spawn('/bin/sh', ['-c', script, 'guard', `${pid}`, dir], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  // The number may belong to another process once ours is gone.
  child.once('exit', () => shell.kill('SIGKILL'));
}
