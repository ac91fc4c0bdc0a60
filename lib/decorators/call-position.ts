import { checkPosition, type CommitPosition } from '../message/index.js';
import { askPosition } from '../publisher/index.js';
import { isPromiseLike } from '../stream/index.js';
import { isNothing } from './answers.js';
import { select, type Selector } from './selector.js';

/** Answers of the option `at`: a position, a promise of one, or nothing. @publicApi */
export type SelectedPosition =
  CommitPosition | PromiseLike<CommitPosition> | null | undefined;

/**
 * The position of the commit of a call that succeeded. Never throws or rejects: without
 * one, receivers ask themselves.
 *
 * @returns a promise only where there is one to wait for
 * @internal
 */
export function positionOf(
  selector: Selector<SelectedPosition>,
  call: {
    readonly self: unknown;
    readonly args: readonly unknown[];
    readonly result: unknown;
  },
  failed: (cause: unknown) => void,
): Promise<CommitPosition | null> | CommitPosition | null {
  try {
    const answer = select(selector, call.self, call.args, call.result);
    if (isNothing(answer)) return null;
    if (!isPromiseLike(answer)) return checkPosition(answer);
    return askPosition(() => answer);
  } catch (cause) {
    failed(cause);
    return null;
  }
}
