import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { styleText } from 'node:util';

/** @internal */
export type Format = Parameters<typeof styleText>[0];

/** What a command may do to the terminal. @internal */
export interface Io {
  readonly env: NodeJS.ProcessEnv;
  /** A line of what was asked for. */
  out(line: string): void;
  /** A line about how it is going: not for who reads the output by program. */
  note(line: string): void;
  /** The terminal, if the output goes to one. */
  readonly screen: NodeJS.WriteStream | null;
  readonly style: (format: Format, text: string) => string;
  /** A yes or no of whoever sits there; `null` if nobody does. */
  readonly ask: ((question: string) => Promise<boolean>) | null;
  /**
   * For what ends only when it is told to: by Ctrl-C, by SIGTERM, or because
   * nobody reads the output any more. Asked for once; a second Ctrl-C kills.
   */
  stopping(): AbortController;
}

/** @internal */
export function processIo(): Io {
  const { stdout, stderr, env } = process;
  const stop = new AbortController();
  const end = (): void => stop.abort();
  // `| head` has read enough.
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

/** Any answer but yes is a no, Ctrl-C and the end of the input included. */
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

// Decided here: some versions of Node that we run on have styleText colour
// whatever the stream is.
function wantsColour(
  stream: NodeJS.WriteStream,
  { FORCE_COLOR, NO_COLOR }: NodeJS.ProcessEnv,
): boolean {
  if (FORCE_COLOR !== undefined) return !['0', 'false'].includes(FORCE_COLOR);
  return !NO_COLOR && stream.isTTY && stream.hasColors();
}
