const LABEL_WIDTH = 48;
const NOTE_WIDTH = 8;
const NUMBER_WIDTH = 10;

/** Milliseconds with two decimals and separated thousands. */
export function milliseconds(value: number): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
  });
}

/** Writes the story in columns. */
export class Printer {
  constructor(private readonly output: NodeJS.WriteStream) {}

  line(text = ''): void {
    this.output.write(`${text}\n`);
  }

  heading(text: string): void {
    this.line(`\n${text}`);
  }

  text(text: string): void {
    this.line(`  ${text}`);
  }

  /** `GET gateway/users/1      L1        0.61 ms   version 1` */
  step(label: string, note: string, ms: number, result = ''): void {
    const time = `${milliseconds(ms).padStart(NUMBER_WIDTH)} ms`;
    this.text(
      `${label.padEnd(LABEL_WIDTH)}${note.padEnd(NOTE_WIDTH)}${time}   ${result}`.trimEnd(),
    );
  }

  /** Rewrites its line on a terminal; elsewhere it prints only the last one. */
  progress(text: string, last: boolean): void {
    if (this.output.isTTY) this.output.write(`\r  ${text}${last ? '\n' : ''}`);
    else if (last) this.text(text);
  }

  /** Aligns the first column to the left, and the others to the right. */
  table(rows: readonly (readonly string[])[]): void {
    const widths = (rows[0] ?? []).map((_, column) =>
      Math.max(...rows.map((row) => (row[column] ?? '').length)),
    );
    for (const row of rows) {
      const cells = row.map((cell, column) =>
        column === 0
          ? cell.padEnd(widths[column]!)
          : cell.padStart(widths[column]!),
      );
      this.text(cells.join('  '));
    }
  }
}
