import type { Io } from './io.js';

/** Text that is shown again and again. @internal */
export interface LiveScreen {
  show(text: string): void;
  /** How it is going. */
  note(text: string): void;
}

/** In its own place on a terminal, and elsewhere below what was shown before. @internal */
export function liveScreen(io: Io): LiveScreen {
  const { screen } = io;
  if (screen === null) {
    return {
      show: (text) => io.out(`${text}\n`),
      note: (text) => io.note(text),
    };
  }
  let height = 0;
  let status = '';
  return {
    show(text) {
      // A line that wrapped would be counted as one.
      const lines = `${text}\n${status}`
        .split('\n')
        .slice(0, (screen.rows || 24) - 1)
        .map((line) => line.slice(0, (screen.columns || 80) - 1));
      if (height > 0) screen.write(`\x1b[${height}A\x1b[0J`);
      height = lines.length;
      io.out(lines.join('\n'));
    },
    note: (text) => (status = text),
  };
}
