/**
 * Runs an {@link EmbeddedValkey} in a process of its own, so that it does not
 * share an event loop with the clients whose latency is measured.
 *
 * A forked process sends `{ url }` to its parent; otherwise it prints
 * `{"url":"..."}` as a line of stdout, below Valkey's own start-up log. It stops on
 * SIGTERM, on SIGINT, and when its parent is gone.
 *
 * @example
 * const child = fork(new URL('./embedded-valkey.process.js', import.meta.url), ['6400'], {
 *   execArgv: ['--disable-warning=ExperimentalWarning'], // node:wasi
 *   stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
 * });
 * const [{ url }] = await once(child, 'message');
 */
import { fstatSync } from 'node:fs';
import { EmbeddedValkey } from './embedded-valkey.js';

const starting = EmbeddedValkey.start(Number(process.argv[2] ?? 0));

async function shutDown(): Promise<void> {
  const server = await starting;
  await server.stop();
  // Open IPC or stdin would keep a stopped server's process alive.
  process.exit();
}

/** Only a pipe ends with the parent: a terminal outlives this process, and /dev/null ends before it starts. */
function stdinIsPipe(): boolean {
  const stdin = fstatSync(process.stdin.fd);
  return stdin.isFIFO() || stdin.isSocket();
}

function onParentGone(listener: () => void): void {
  if (!process.send) {
    if (stdinIsPipe()) process.stdin.once('end', listener).resume();
  } else if (process.connected) process.once('disconnect', listener);
  // The parent was gone before the modules were loaded: there is no event any more.
  else listener();
}

function announce(message: { url: string }): void {
  if (!process.send) console.log(JSON.stringify(message));
  else if (process.connected) process.send(message);
}

// Before the start is awaited, so that a parent lost meanwhile is noticed.
const stop = (): void => void shutDown();
onParentGone(stop);
process.once('SIGTERM', stop).once('SIGINT', stop);

const { url } = await starting;
announce({ url });
