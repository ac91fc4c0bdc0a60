import { createHook } from 'node:async_hooks';
import { onTestFinished } from 'vitest';

/** Kinds of handles that keep a process alive. */
const KINDS = new Set(['Timeout', 'TCPWRAP', 'TCPCONNECTWRAP']);

export interface OpenHandles {
  /** Number of handles made since. */
  readonly made: number;
  /** Stacks of the remaining handles, which show where they were made. */
  readonly left: string[];
}

/**
 * Watches, until the end of the test, the timers and sockets that the library
 * makes, or ioredis for it. `process.getActiveResourcesInfo()` would count
 * vitest's too, and those come and go.
 *
 * @param folder a part of the path of the library's files
 */
export function watchHandles(folder: string): () => OpenHandles {
  const open = new Map<number, string>();
  let made = 0;
  const hook = createHook({
    init(id, kind) {
      if (!KINDS.has(kind)) return;
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 100;
      const { stack = '' } = new Error(kind);
      Error.stackTraceLimit = stackTraceLimit;
      if (!stack.includes(folder) && !stack.includes('ioredis')) return;
      open.set(id, stack);
      made++;
    },
    destroy: (id) => void open.delete(id),
  }).enable();
  onTestFinished(() => void hook.disable());
  return () => ({ made, left: [...open.values()] });
}
