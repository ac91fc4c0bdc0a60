const HIGHEST_BYTE = 0xff;

/**
 * Members of a class in the order Redis tries them: an escaped byte, a range, a
 * byte. Hence `[a-]` is an unclosed range up to `]`, `[\a-c]` has no range, and
 * `[]` is empty.
 */
const MEMBER = /\\(?<escaped>[^])|(?<from>[^])-(?<to>[^])|[^]/g;

/**
 * Parses the body of a class, such as `a-c`.
 *
 * @returns 1 at the bytes that it accepts
 * @internal
 */
export function parseClass(body: string, negated: boolean): Uint8Array {
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
