import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { styleText } from 'node:util';

/** @internal */
export type Format = Parameters<typeof styleText>[0];

/** Input and output of a command. @internal */
export interface Io {
  readonly env: NodeJS.ProcessEnv;
  /** Prints a line of the result, to the standard output. */
  out(line: string): void;
  /** Prints a line about progress or a failure, to the standard error. */
  note(line: string): void;
  /** The terminal, if the standard output is one. */
  readonly screen: NodeJS.WriteStream | null;
  readonly style: (format: Format, text: string) => string;
  /** Asks the user a question that is answered by yes or no; `null` without a terminal. */
  readonly ask: ((question: string) => Promise<boolean>) | null;
  /**
   * For commands without an end of their own. Aborted by Ctrl-C, by SIGTERM, or when
   * the reader of the output is gone. Call it once; a second Ctrl-C kills.
   */
  stopping(): AbortController;
}

/** @internal */
export function processIo(): Io {
  const { stdout, stderr, env } = process;
  const stop = new AbortController();
  const end = (): void => stop.abort();
  // The reader may end first, as in `| head`.
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') process.exitCode = 1;
      end();
    });
  }
  const coloured = wantsColour(stdout, env);
  return {
    env,
    out: (line) => void stdout.write(`${line}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    screen: stdout.isTTY ? stdout : null,
    style: (format, text) =>
      coloured ? styleText(format, text, { validateStream: false }) : text,
    ask: process.stdin.isTTY && stderr.isTTY ? askOnTerminal : null,
    stopping: () => {
      process.once('SIGINT', end).once('SIGTERM', end);
      return stop;
    },
  };
}

/** Any answer but yes counts as no, Ctrl-C and the end of the input included. */
async function askOnTerminal(question: string): Promise<boolean> {
  const { stdin: input, stderr: output } = process;
  const terminal = createInterface({ input, output });
  const closed = once(terminal, 'close').then(() => '');
  const answer = await Promise.race([
    terminal.question(`${question} [y/N] `),
    closed,
  ]);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

// Not left to styleText: some supported versions of Node colour every stream.
function wantsColour(
  stream: NodeJS.WriteStream,
  { FORCE_COLOR, NO_COLOR }: NodeJS.ProcessEnv,
): boolean {
  if (FORCE_COLOR !== undefined) return !['0', 'false'].includes(FORCE_COLOR);
  return !NO_COLOR && stream.isTTY && stream.hasColors();
}
