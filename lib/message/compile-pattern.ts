import {
  END,
  isAllLiteral,
  parsePattern,
  piecesOf,
  runProgram,
  splitLiteral,
  STAR,
  toByteString,
  type PatternProgram,
} from './pattern-program.js';

const HIGHEST_ASCII = 0x7f;
const HIGHEST_BYTE = 0xff;

/** As many native searches take no longer than one step at each character. */
const STARS_OF_ONE_STEP = 16;

/** A compiled pattern with the cost of comparing it. @internal */
export interface WeighedPattern {
  readonly matches: (key: string) => boolean;
  /** Steps for each character of a key at most; 0 where a few searches do. */
  readonly weight: number;
}

/**
 * Compiles a Redis glob to match many keys against it. The answers are those of
 * Redis' own `KEYS` and `PSUBSCRIBE`: `*`, `?`, `[a-c]`, `[^a]` and `\` escapes
 * over UTF-8 **bytes**, so that `日` needs `???`. Nothing is invalid.
 *
 * Literals between stars cost one native search each. Others take at most
 * key × pattern steps. Keys in ASCII are matched without allocating.
 *
 * Strings must be well-formed. A range with one end in ASCII and the other not
 * matches as in a Redis built with signed `char` (x86-64, not Linux on ARM).
 *
 * @example
 * const matches = compilePattern('feed:42:*');
 * keys.filter(matches);
 *
 * @publicApi
 */
export function compilePattern(pattern: string): (key: string) => boolean {
  // KEYS lets this one match even the empty key, as no other star does.
  if (pattern === '*') return () => true;
  const program = parsePattern(pattern);
  const [prefix, rest] = splitLiteral(program);
  if (rest[0] === END) return (key) => key === prefix;
  if (rest[0] === STAR && rest[1] === END) {
    return (key) => key !== '' && key.startsWith(prefix);
  }
  if (isAllLiteral(program)) return matchPieces(piecesOf(program));
  // A byte string is made only when a byte beyond ASCII has a say.
  return (key) =>
    runProgram(program, key, HIGHEST_ASCII) ??
    runProgram(program, toByteString(key), HIGHEST_BYTE) === true;
}

/**
 * Compiles a pattern of unknown origin, for callers that compare it with many
 * keys and have to bound the cost.
 *
 * @internal
 */
export function weighPattern(pattern: string): WeighedPattern {
  return {
    matches: compilePattern(pattern),
    weight: weightOf(parsePattern(pattern)),
  };
}

/**
 * Compares within a number of steps: a key that takes more counts as matched, so
 * that a cache evicts too much rather than holds the event loop.
 *
 * @internal
 */
export function compileWithin(
  maxSteps: number,
  { matches, weight }: WeighedPattern,
): (key: string) => boolean {
  if (weight === 0) return matches;
  return (key) => weight * key.length > maxSteps || matches(key);
}

/**
 * Each piece is taken where it first occurs: whatever a later occurrence leaves
 * for the next pieces, the first one leaves too. UTF-8 synchronises itself, so a
 * search in the text finds what a search in its bytes would.
 */
function matchPieces(pieces: readonly string[]): (key: string) => boolean {
  const [first = ''] = pieces;
  const last = pieces.at(-1)!;
  const between = pieces.slice(1, -1);
  return (key) => {
    const end = key.length - last.length;
    if (!key.startsWith(first) || !key.endsWith(last)) return false;
    let at = first.length;
    for (const piece of between) {
      const found = key.indexOf(piece, at);
      if (found === -1) return false;
      at = found + piece.length;
    }
    return at <= end;
  };
}

/** The longest run of steps that is tried anew at each character. */
function weightOf(program: PatternProgram): number {
  const { steps, tail } = program;
  if (isAllLiteral(program)) {
    const stars = steps.filter((step) => step === STAR).length;
    return Math.floor(stars / STARS_OF_ONE_STEP);
  }
  let longest = 0;
  let from = steps.indexOf(STAR) + 1;
  for (let at = from; at < tail; at++) {
    if (steps[at] !== STAR) continue;
    longest = Math.max(longest, at - from);
    from = at + 1;
  }
  return longest;
}
