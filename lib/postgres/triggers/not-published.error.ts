import { withDeadline } from '../../common/index.js';

/** Redis has not taken a batch; `cause` says why. @internal */
export class NotPublishedError extends Error {}

/** Tells a failure of Redis from one of PostgreSQL. @throws NotPublishedError @internal */
export async function published(
  timeout: number,
  work: Promise<void>,
): Promise<void> {
  try {
    await withDeadline(
      timeout,
      work,
      () => new Error(`Redis did not answer within ${timeout} ms`),
    );
  } catch (cause) {
    throw new NotPublishedError('Redis has not taken a batch', { cause });
  }
}
