import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Plugin } from 'vitest/config';
import type { PoolOptions, PoolWorker, WorkerRequest } from 'vitest/node';

type Listener = (argument: unknown) => void;

/** The thread, once it has started; kept from one mutant to the next. */
let kept: Worker | null = null;

/**
 * Runs all spec files in one thread, which loads Nest and ioredis once. Vitest
 * starts a thread for each file, and a mutant takes seconds for its imports. The
 * modules of the library and of the specs are evaluated again for each file.
 */
class KeptThread implements PoolWorker {
  readonly name = 'kept-thread';
  readonly #listeners: [event: string, listener: Listener][] = [];
  readonly #options: PoolOptions;
  #thread: Worker | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#thread = kept;
    if (kept !== null) return;
    const { distPath, env, execArgv } = this.#options;
    const program = resolve(distPath, 'workers/threads.js');
    const options = { env, execArgv, stdout: true, stderr: true };
    const thread = new Worker(program, options);
    thread.stdout.resume();
    thread.stderr.resume();
    thread.once('exit', () => (kept = null));
    thread.unref();
    this.#thread = thread;
  }

  /** Vitest asks for it after each file. */
  async stop(): Promise<void> {
    for (const [event, listener] of this.#listeners) {
      this.#thread!.off(event, listener);
    }
  }

  on(event: string, listener: Listener): void {
    this.#listeners.push([event, listener]);
    this.#thread!.on(event, listener);
  }

  off(event: string, listener: Listener): void {
    this.#thread!.off(event, listener);
  }

  send(message: WorkerRequest): void {
    const type = 'type' in message ? message.type : null;
    if (type === 'stop') return this.#answer('stopped');
    if (type === 'start' && kept !== null) return this.#answer('started');
    if (type === 'start') kept = this.#thread;
    if (type === 'run') {
      // Otherwise the thread would select tests as for its first file.
      const config = this.#options.project.serializedConfig;
      Object.assign((message as { context: object }).context, { config });
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- it is a thread
    this.#thread!.postMessage(message);
  }

  deserialize(data: unknown): unknown {
    return data;
  }

  #answer(type: 'started' | 'stopped'): void {
    for (const [event, listener] of this.#listeners) {
      if (event === 'message') {
        listener({ __vitest_worker_response__: true, type });
      }
    }
  }
}

/** Takes the place of `pool: 'threads'`, which Stryker sets. */
export const keepThread: Plugin = {
  name: 'kept-thread',
  configureVitest({ project }) {
    project.config.pool = 'kept-thread';
    project.config.poolRunner = {
      name: 'kept-thread',
      createPoolWorker: (options) => new KeptThread(options),
    };
  },
};
