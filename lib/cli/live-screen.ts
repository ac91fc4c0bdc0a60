import type { Io } from './io.js';

/** Text on a terminal that each update replaces. @internal */
export interface LiveScreen {
  show(text: string): void;
  /** Shows the state of the connection. */
  note(text: string): void;
}

/** Without a terminal each update is printed below the one before. @internal */
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
      // Cut to the width: a wrapped line would take two rows.
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
