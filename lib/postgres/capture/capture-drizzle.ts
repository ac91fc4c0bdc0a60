import { InvalidationConfigurationError } from '../../errors/index.js';
import type { CaptureOptions } from './capture.options.js';
import {
  capturedSession,
  withSession,
  type DrizzleDatabase,
} from './drizzle-session.js';
import { WriteCapture } from './write-capture.js';

/** Part of a Drizzle database of PostgreSQL that is used here. @publicApi */
export interface DrizzleLike {
  readonly _: { readonly session: object };
}

/**
 * Announces what a Drizzle database writes, after each commit and before the caller has
 * its result: by queries, prepared ones included, `execute()`, `transaction()` and
 * `batch()`.
 *
 * @param db is left as it is: what is written by it is not seen
 * @returns the database to be used from now on
 * @throws InvalidationConfigurationError for wrong options, and for what
 * `withReplicas()` returns
 * @example
 * ```ts
 * const db = captureDrizzle(drizzle(pool), {
 *   publisher,
 *   tables: { 'public.users': 'User' },
 * });
 * ```
 * @publicApi
 */
export function captureDrizzle<D extends DrizzleLike>(
  db: D,
  options: CaptureOptions,
): D {
  if ('$primary' in db) {
    throw new InvalidationConfigurationError(
      'Writes of what withReplicas() returns cannot be captured.',
      [],
      'Capture the primary, and give the result to withReplicas().',
    );
  }
  const { session } = db as D & DrizzleDatabase;
  return withSession(db, capturedSession(session, new WriteCapture(options)));
}
