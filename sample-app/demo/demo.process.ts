import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const LINES_KEPT = 200;

export interface ChildDescription {
  readonly name: string;
  /** The built module, relative to this one. */
  readonly module: string;
  readonly arguments?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Called with each line that the process writes. */
  readonly onLine: (line: string) => void;
}

/** One process of the demo, which sends `{ url }` when it serves. */
export class DemoProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #isServing = false;
  #stopping = false;

  /** Its URL, once it serves. */
  readonly serving: Promise<string>;

  /** Rejects if the process ends before `stop()`; never resolves. */
  readonly failure: Promise<never>;

  constructor(description: ChildDescription) {
    this.name = description.name;
    this.#child = fork(
      fileURLToPath(new URL(description.module, import.meta.url)),
      description.arguments,
      {
        env: { ...process.env, NO_COLOR: '1', ...description.env },
        execArgv: ['--disable-warning=ExperimentalWarning'],
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        // A Ctrl-C goes to every process of the terminal's group, but the demo
        // decides in which order they end.
        detached: process.platform !== 'win32',
      },
    );
    this.#read(this.#child.stdout, description.onLine);
    this.#read(this.#child.stderr, description.onLine);
    this.serving = this.#url();
    this.failure = this.#unexpectedEnd();
    // Callers may not be waiting yet when it rejects.
    this.failure.catch(() => undefined);
  }

  /**
   * Ends the process by disconnecting, which it also notices if this process is
   * killed. A process that does not end in time is killed. One that does not serve
   * yet is killed at once: it has nothing to lose, and may not listen.
   */
  async stop(patience: number): Promise<void> {
    this.#stopping = true;
    if (this.#ended) return;
    const ended = once(this.#child, 'exit');
    if (!this.#isServing) this.#child.kill('SIGKILL');
    else if (this.#child.connected) this.#child.disconnect();
    const timeout = new AbortController();
    await Promise.race([
      ended,
      delay(patience, undefined, { signal: timeout.signal })
        .then(() => this.#child.kill('SIGKILL'))
        .catch(() => undefined),
    ]);
    timeout.abort();
    await ended;
  }

  get #ended(): boolean {
    return (
      // No pid: it never started.
      this.#child.pid === undefined ||
      this.#child.exitCode !== null ||
      this.#child.signalCode !== null
    );
  }

  #read(output: Readable | null, onLine: (line: string) => void): void {
    if (output === null) return;
    createInterface({ input: output }).on('line', (line) => {
      onLine(line);
      this.#lines.push(line);
      if (this.#lines.length > LINES_KEPT) this.#lines.shift();
    });
  }

  #url(): Promise<string> {
    // `failure` reports an end before that.
    return new Promise((resolve) => {
      this.#child.once('message', ({ url }: { url: string }) => {
        this.#isServing = true;
        resolve(url);
      });
    });
  }

  #unexpectedEnd(): Promise<never> {
    return new Promise((_, reject) => {
      this.#child.once('error', (cause) =>
        reject(new Error(`${this.name} could not be started.`, { cause })),
      );
      // Not 'exit': at 'close' all of its output has been read.
      this.#child.once('close', (code, signal) => {
        if (this.#stopping) return;
        const end = signal ?? `code ${code}`;
        const output = this.#lines.map((line) => `  | ${line}`).join('\n');
        reject(new Error(`${this.name} ended with ${end}:\n${output}`));
      });
    });
  }
}
