import { isOffset, type InvalidationMessage } from '../../message/index.js';

/**
 * Whether a message was published without a journal; other services may send
 * something else as offset.
 *
 * @internal
 */
export function isForeign({ own, offset }: InvalidationMessage): boolean {
  return !own && !isOffset(offset);
}

/** The least offset after this one. @internal */
export function offsetAfter(offset: string): string {
  const [ms, sequence] = offset.split('-') as [string, string];
  return `${ms}-${BigInt(sequence) + 1n}`;
}
