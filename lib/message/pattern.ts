/**
 * Longest pattern that may travel, in UTF-16 code units. A match costs at most
 * key × pattern steps, so the bound makes it linear in the key. It also stays
 * below the 1000 stars at which newer Redis gives up and says "no match".
 *
 * @internal
 */
export const MAX_PATTERN_LENGTH = 1024;

/** A key of an entity is at least `t:i`: one character each side of its colon. */
const SHORTEST_KEY = 3;

const ASTERISK = 0x2a;
const HIGHEST_ASCII = 0x7f;
const HIGHEST_BYTE = 0xff;

/** As many native searches take no longer than one step at each character. */
const STARS_OF_ONE_STEP = 16;

/** Steps of a compiled pattern. Up to `HIGHEST_BYTE`, one accepts that byte. */
const ANY = 256;
const STAR = 257;
const END = 258;
const FIRST_CLASS = 259;

/**
 * One step of a pattern, as Redis reads it: stars, `?`, a class, or a byte, perhaps
 * escaped.
 * A class ends at its `]` or, unclosed, with the pattern. A trailing backslash
 * stands for itself.
 */
const STEP =
  /\*+|\?|\[(?<negation>\^?)(?<body>(?:\\[^]|[^\]]-[^]|[^\]])*)\]?|\\?[^]/g;

/**
 * Members of a class in the order Redis tries them: an escaped byte, a range, a
 * byte. Hence `[a-]` is an unclosed range up to `]`, `[\a-c]` has no range, and
 * `[]` is empty.
 */
const MEMBER = /\\(?<escaped>[^])|(?<from>[^])-(?<to>[^])|[^]/g;

/** Without it a pattern has nothing but literals and stars, as they are written. */
const SPECIAL = /[?[\\]/;

interface Program {
  /** Closed by `END`, which accepts nothing. Stars in a row are one. */
  readonly steps: readonly number[];
  /** Index of the first step after the last star; each of those takes one byte. */
  readonly tail: number;
  /** For each class, by step less `FIRST_CLASS`: 1 at the bytes it accepts. */
  readonly classes: readonly Uint8Array[];
}

/** A compiled pattern, and what comparing it costs. @internal */
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
 * means what it does to a Redis built with signed `char` (x86-64, not Linux on
 * ARM).
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
  const program = parse(pattern);
  const [prefix, rest] = splitLiteral(program);
  if (rest[0] === END) return (key) => key === prefix;
  if (rest[0] === STAR && rest[1] === END) {
    return (key) => key !== '' && key.startsWith(prefix);
  }
  if (isAllLiteral(program)) return matchPieces(piecesOf(pattern, program));
  // A byte string is made only when a byte beyond ASCII has a say.
  return (key) =>
    run(program, key, HIGHEST_ASCII) ??
    run(program, toByteString(key), HIGHEST_BYTE) === true;
}

/**
 * Compiles a pattern that anybody may have published, for those who compare it
 * with many keys and have to bound what that costs.
 *
 * @internal
 */
export function weighPattern(pattern: string): WeighedPattern {
  return { matches: compilePattern(pattern), weight: weightOf(parse(pattern)) };
}

/**
 * Compares within a number of steps: a key that takes more counts as matched, so
 * that whoever evicts by it evicts too much rather than holds the event loop.
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

/** A pure memo: it changes the cost of an answer and never the answer. */
let recent = { pattern: '*', matches: compilePattern('*') };

/**
 * Whether a Redis glob matches one key, by the rules of {@link compilePattern}.
 * The last pattern stays compiled; to go through many keys with one pattern,
 * compile it.
 *
 * @example
 * matchesPattern('user:[0-9]*', 'user:123'); // true
 *
 * @publicApi
 */
export function matchesPattern(pattern: string, key: string): boolean {
  if (recent.pattern !== pattern) {
    recent = { pattern, matches: compilePattern(pattern) };
  }
  return recent.matches(key);
}

/**
 * Whether a pattern matches every cache key, so that a cache may be cleared
 * instead of searched. That is any number of stars, at least one, with up to
 * three `?` (or `[^]`, which is the same to Redis), since no cache key has fewer
 * than three bytes. `????*` is a filter, if a silly one: it spares `a:1`.
 *
 * @internal
 */
export function isMatchAll(pattern: string): boolean {
  const steps = parse(pattern).steps.slice(0, -1);
  const any = steps.filter((step) => step === ANY).length;
  const stars = steps.filter((step) => step === STAR).length;
  return stars > 0 && any <= SHORTEST_KEY && any + stars === steps.length;
}

/**
 * Whether a pattern matches every key that begins so, as `user:*` does those that
 * begin with `user:`.
 *
 * @internal
 */
export function matchesAllOf(prefix: string, pattern: string): boolean {
  const [literal, rest] = splitLiteral(parse(pattern));
  const stars = rest.slice(0, -1);
  return (
    stars.length > 0 &&
    stars.every((step) => step === STAR) &&
    prefix.startsWith(literal)
  );
}

/**
 * The beginning that all matching keys share: the pattern up to its first special
 * character, escapes resolved. It tells without a search that a pattern cannot
 * touch a family of keys.
 *
 * @internal
 */
export function literalPrefix(pattern: string): string {
  return splitLiteral(parse(pattern))[0];
}

/**
 * The pattern that matches one string and no other. `]`, `^` and `-` stay as
 * they are: outside a class they are not special, and no class is left open.
 *
 * @internal
 */
export function escapePattern(literal: string): string {
  return literal.replace(/[*?[\\]/g, '\\$&');
}

/** Several parts of one delivery ask for the same pattern. A pure memo as well. */
let parsed: { readonly pattern: string; readonly program: Program } | null =
  null;

function parse(pattern: string): Program {
  if (parsed?.pattern !== pattern) {
    parsed = { pattern, program: parseAnew(pattern) };
  }
  return parsed.program;
}

function parseAnew(pattern: string): Program {
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
    const body = groups?.body;
    if (text.startsWith('*')) steps.push(STAR);
    else if (text === '?') steps.push(ANY);
    else if (body === undefined) steps.push(text.charCodeAt(text.length - 1));
    else {
      const accepted = parseClass(body, groups?.negation === '^');
      if (!accepted.includes(0)) steps.push(ANY);
      else steps.push(FIRST_CLASS - 1 + classes.push(accepted));
    }
  }
  return closed(steps, classes);
}

function closed(steps: number[], classes: readonly Uint8Array[]): Program {
  const tail = steps.lastIndexOf(STAR) + 1;
  steps.push(END);
  return { steps, tail, classes };
}

function parseClass(body: string, negated: boolean): Uint8Array {
  const accepted = new Uint8Array(HIGHEST_BYTE + 1).fill(negated ? 1 : 0);
  const mark = negated ? 0 : 1;
  for (const { 0: text, groups } of body.matchAll(MEMBER)) {
    const from = signed(groups?.from ?? groups?.escaped ?? text);
    const to = signed(groups?.to ?? groups?.escaped ?? text);
    for (let byte = Math.min(from, to); byte <= Math.max(from, to); byte++) {
      accepted[byte & HIGHEST_BYTE] = mark;
    }
  }
  return accepted;
}

/** Redis compares the ends of a range as `char`, signed on x86-64. */
function signed(byte: string): number {
  return (byte.charCodeAt(0) << 24) >> 24;
}

/** Whether it has nothing but literals and stars, at least one. */
function isAllLiteral({ steps, tail }: Program): boolean {
  return (
    tail > 0 && steps.every((step) => step <= HIGHEST_BYTE || isStarOrEnd(step))
  );
}

function isStarOrEnd(step: number): boolean {
  return step === STAR || step === END;
}

/** The literals before, between and after the stars. */
function piecesOf(pattern: string, { steps }: Program): string[] {
  if (!SPECIAL.test(pattern)) return pattern.split('*');
  const pieces: string[] = [];
  let from = 0;
  for (const [at, step] of steps.entries()) {
    if (!isStarOrEnd(step)) continue;
    pieces.push(Buffer.from(steps.slice(from, at)).toString());
    from = at + 1;
  }
  return pieces;
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
    if (end < first.length || !key.startsWith(first) || !key.endsWith(last)) {
      return false;
    }
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
function weightOf(program: Program): number {
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

/**
 * Goes back to the latest star only: whatever an earlier one could still give
 * up, the latest can take. So it needs no recursion and is never exponential.
 *
 * Reads `text` as bytes and answers undefined when it meets one above `highest`.
 * Until then a byte is a code unit, counted from whichever end, and an answer
 * holds whatever a star has skipped.
 */
function run(
  { steps, tail, classes }: Program,
  text: string,
  highest: number,
): boolean | undefined {
  let at = 0;
  let step = 0;
  let afterStar = -1;
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
    } else if (afterStar >= 0) {
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

/** The bytes before the first special step as text, and the steps from there. */
function splitLiteral({ steps }: Program): [string, readonly number[]] {
  const special = steps.findIndex((step) => step > HIGHEST_BYTE);
  return [
    Buffer.from(steps.slice(0, special)).toString(),
    steps.slice(special),
  ];
}

/** One character per UTF-8 byte: the same code then reads keys and bytes. */
function toByteString(text: string): string {
  return Buffer.from(text).toString('latin1');
}
