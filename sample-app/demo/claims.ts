import type { Printer } from './printer.js';

/** What the story says must be so, held against what was seen. */
export class Claims {
  made = 0;
  wrong = 0;

  constructor(private readonly print: Printer) {}

  check(claim: string, holds: boolean): void {
    this.made++;
    if (!holds) this.wrong++;
    this.print.text(`${holds ? '  right:' : '  WRONG:'} ${claim}`);
  }
}
