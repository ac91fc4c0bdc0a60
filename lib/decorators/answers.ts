import { atOnce } from '../stream/index.js';

/**
 * Stands for the answer of a selector of the result before the call, and for the result
 * of a call that failed.
 *
 * @internal
 */
export const NO_ANSWER = Symbol('no answer');

/** Error of a selector before the call: it may need something that the call makes. @internal */
export class Thrown {
  constructor(readonly cause: unknown) {}
}

/**
 * Answer of a selector of arguments before the call; a {@link Thrown} if it throws,
 * since it is called again after the call and reported only if it still throws.
 *
 * @internal
 */
export function answerOf(
  selector: unknown,
  self: unknown,
  args: readonly unknown[],
): unknown {
  if (typeof selector !== 'function') return NO_ANSWER;
  try {
    const answer = atOnce(selector.apply(self, args) as unknown);
    // A list may be an argument of the method, which may shorten it.
    return Array.isArray(answer) ? [...(answer as unknown[])] : answer;
  } catch (cause) {
    return new Thrown(cause);
  }
}

/** @internal */
export function isAnswer(asked: unknown): boolean {
  return asked !== NO_ANSWER && !(asked instanceof Thrown);
}

/** Whether a selector named no entity and no pattern. @internal */
export function isNothing(selected: unknown): boolean {
  const list: unknown[] = Array.isArray(selected) ? selected : [selected];
  return list.every((one) => one === null || one === undefined);
}
