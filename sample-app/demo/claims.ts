import type { Printer } from './printer.js';

/** Claims of the story, checked against the answers. */
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
