/** Before the first entry of a journal. @internal */
export const JOURNAL_START = '0-0';

const OFFSET = /^\d{1,20}-\d{1,20}$/;

/** Whether it is the ID of a Redis Stream entry, in full. @internal */
export function isOffset(value: unknown): value is string {
  return typeof value === 'string' && OFFSET.test(value);
}

/**
 * Which of two offsets comes first: below zero if `a`, above if `b`.
 *
 * Both parts are 64-bit integers, which a number does not hold.
 *
 * @internal
 */
export function compareOffsets(a: string, b: string): number {
  if (a === b) return 0;
  const [aTime = 0n, aSequence = 0n] = a.split('-').map(BigInt);
  const [bTime = 0n, bSequence = 0n] = b.split('-').map(BigInt);
  if (aTime !== bTime) return aTime < bTime ? -1 : 1;
  if (aSequence === bSequence) return 0;
  return aSequence < bSequence ? -1 : 1;
}
