import { parseClass } from './pattern-class.js';

const ASTERISK = 0x2a;
const HIGHEST_BYTE = 0xff;

/** Steps of a parsed pattern. Up to `HIGHEST_BYTE`, a step accepts that byte. */
const ANY = 256;
const STAR = 257;
const END = 258;
const FIRST_CLASS = 259;
// Exported apart: CommonJS would read `exports.STAR` at each step of a match.
export { ANY, END, STAR };

/**
 * One step of a pattern, as Redis reads it: stars, `?`, a class, or a byte, perhaps
 * escaped. A class ends at its `]` or, unclosed, with the pattern. A trailing
 * backslash stands for itself.
 */
const STEP =
  /\*+|\?|\[(?<negation>\^?)(?<body>(?:\\[^]|[^\]]-[^]|[^\]])*)\]?|\\?[^]/g;

/** Characters that make a pattern more than literals and stars as they are written. */
const SPECIAL = /[?[\\]/;

/** A parsed pattern. @internal */
export interface PatternProgram {
  /** Closed by `END`, which accepts nothing. Stars in a row are one. */
  readonly steps: readonly number[];
  /** Index of the first step after the last star; each of those takes one byte. */
  readonly tail: number;
  /** For each class, by step less `FIRST_CLASS`: 1 at the bytes it accepts. */
  readonly classes: readonly Uint8Array[];
}

/** A pure memo: several parts of one delivery parse the same pattern. */
let parsed: {
  readonly pattern: string;
  readonly program: PatternProgram;
} | null = null;

/** Parses a Redis glob; no pattern is invalid. @internal */
export function parsePattern(pattern: string): PatternProgram {
  if (parsed?.pattern !== pattern) {
    parsed = { pattern, program: parseAnew(pattern) };
  }
  return parsed.program;
}

/** The bytes before the first special step as text, and the steps from there. @internal */
export function splitLiteral({
  steps,
}: PatternProgram): [string, readonly number[]] {
  const special = steps.findIndex((step) => step > HIGHEST_BYTE);
  return [
    Buffer.from(steps.slice(0, special)).toString(),
    steps.slice(special),
  ];
}

/** Whether a program has nothing but literals and stars. @internal */
export function isAllLiteral({ steps }: PatternProgram): boolean {
  return steps.every((step) => step <= HIGHEST_BYTE || isStarOrEnd(step));
}

/** The literals before, between and after the stars. @internal */
export function piecesOf({ steps }: PatternProgram): string[] {
  const pieces: string[] = [];
  let from = 0;
  for (const [at, step] of steps.entries()) {
    if (!isStarOrEnd(step)) continue;
    pieces.push(Buffer.from(steps.slice(from, at)).toString());
    from = at + 1;
  }
  return pieces;
}

/** One character per UTF-8 byte, so that the same code reads keys and bytes. @internal */
export function toByteString(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/**
 * Runs a program over a text, going back to the latest star only: whatever an earlier one could
 * still give up, the latest can take. So it needs no recursion and is never
 * exponential.
 *
 * Reads `text` as bytes and answers undefined when it meets one above `highest`.
 * Until then a byte is a code unit, counted from whichever end, and an answer
 * holds whatever a star has skipped.
 *
 * @internal
 */
export function runProgram(
  { steps, tail, classes }: PatternProgram,
  text: string,
  highest: number,
): boolean | undefined {
  let at = 0;
  let step = 0;
  let afterStar = 0;
  let retryAt = 0;
  while (at < text.length) {
    const expected = steps[step]!;
    const byte = text.charCodeAt(at);
    if (expected === STAR) {
      afterStar = ++step;
      // The last star can let go only where the tail just fits.
      const fits = text.length - (steps.length - 1 - tail);
      if (step === tail && fits > at) at = fits;
      retryAt = at;
    } else if (byte > highest) {
      return undefined;
    } else if (accepts(expected, byte, classes)) {
      step++;
      at++;
    } else if (afterStar > 0) {
      step = afterStar;
      at = ++retryAt;
    } else {
      return false;
    }
  }
  return steps[steps[step] === STAR ? step + 1 : step] === END;
}

function accepts(
  expected: number,
  byte: number,
  classes: readonly Uint8Array[],
): boolean {
  if (expected === byte || expected === ANY) return true;
  return (
    expected >= FIRST_CLASS && classes[expected - FIRST_CLASS]![byte] === 1
  );
}

function parseAnew(pattern: string): PatternProgram {
  const steps: number[] = [];
  const classes: Uint8Array[] = [];
  if (!SPECIAL.test(pattern)) {
    for (const byte of Buffer.from(pattern)) {
      if (byte !== ASTERISK) steps.push(byte);
      else if (steps.at(-1) !== STAR) steps.push(STAR);
    }
    return closed(steps, classes);
  }
  for (const { 0: text, groups } of toByteString(pattern).matchAll(STEP)) {
    const { body, negation } = groups!;
    if (text.startsWith('*')) steps.push(STAR);
    else if (text === '?') steps.push(ANY);
    else if (body === undefined) steps.push(text.charCodeAt(text.length - 1));
    else {
      const accepted = parseClass(body, negation === '^');
      if (!accepted.includes(0)) steps.push(ANY);
      else steps.push(FIRST_CLASS - 1 + classes.push(accepted));
    }
  }
  return closed(steps, classes);
}

function closed(
  steps: number[],
  classes: readonly Uint8Array[],
): PatternProgram {
  const tail = steps.lastIndexOf(STAR) + 1;
  steps.push(END);
  return { steps, tail, classes };
}

function isStarOrEnd(step: number): boolean {
  return step === STAR || step === END;
}
