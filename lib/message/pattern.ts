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

const HIGHEST_ASCII = 0x7f;
const HIGHEST_BYTE = 0xff;

/** Steps of a compiled pattern. Up to `HIGHEST_BYTE`, one accepts that byte. */
const ANY = 256;
const STAR = 257;
const END = 258;
const FIRST_CLASS = 259;

/**
 * What Redis reads as one step: stars, `?`, a class, or a byte perhaps escaped.
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

interface Program {
  /** Closed by `END`, which accepts nothing. Stars in a row are one. */
  readonly steps: readonly number[];
  /** Where the steps after the last star begin; each takes one byte. */
  readonly tail: number;
  /** For each class, by step less `FIRST_CLASS`: 1 at the bytes it accepts. */
  readonly classes: readonly Uint8Array[];
}

/**
 * Compiles a Redis glob to match many keys against it. The answers are those of
 * Redis' own `KEYS` and `PSUBSCRIBE`: `*`, `?`, `[a-c]`, `[^a]` and `\` escapes
 * over UTF-8 **bytes**, so that `日` needs `???`. Nothing is invalid.
 *
 * A literal, `prefix*` and `*` cost one native string comparison. Others take at
 * most key × pattern steps. Keys in ASCII are matched without allocating.
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
  // A byte string is made only when a byte beyond ASCII has a say.
  return (key) =>
    run(program, key, HIGHEST_ASCII) ??
    run(program, toByteString(key), HIGHEST_BYTE) === true;
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
 * What every matching key begins with: the pattern up to its first special,
 * escapes resolved. It says without a search that a pattern can not touch a
 * family of keys.
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

function parse(pattern: string): Program {
  const steps: number[] = [];
  const classes: Uint8Array[] = [];
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
  const tail = steps.lastIndexOf(STAR) + 1;
  return { steps: [...steps, END], tail, classes };
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
