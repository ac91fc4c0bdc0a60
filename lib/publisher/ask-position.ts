import { Logger } from '@nestjs/common';
import { Paced, withDeadline } from '../common/index.js';
import { describeCause } from '../errors/index.js';
import { checkPosition, type CommitPosition } from '../message/index.js';
import { outsideScopes } from './scope-context.js';

/**
 * Asks a database for a position of its log, after a commit: `postgresPosition(pool)`, or
 * a function of your own.
 *
 * @publicApi
 */
export type AskPosition = () => PromiseLike<CommitPosition>;

/** How long invalidations wait for an answer, in milliseconds. */
const ANSWER_MS = 1_000;
/** Milliseconds between two log lines. */
const LOG_MS = 60_000;

let problem = '';
const warning = new Paced(LOG_MS, () =>
  new Logger('CacheInvalidation').warn(
    `The position of a commit could not be asked: ${problem}. Its invalidations were published without one, so that each cache with a replica asks its own primary.`,
  ),
);

/**
 * The answer of a database that is asked now. Never rejects.
 *
 * @returns `null` if it fails, or takes longer than a second
 * @internal
 */
export async function askPosition(
  ask: AskPosition,
): Promise<CommitPosition | null> {
  try {
    // An async function, for the question may throw as well as reject.
    const asking = outsideScopes(async () => ask());
    const late = (): Error => new Error(`no answer in ${ANSWER_MS} ms`);
    return checkPosition(await withDeadline(ANSWER_MS, asking, late));
  } catch (error) {
    problem = describeCause(error as Error);
    warning.run();
    return null;
  }
}
