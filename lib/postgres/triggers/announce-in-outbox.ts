import type { Invalidation } from '../../message/index.js';
import { encodeAnnounced } from '../mapping/announced-text.js';
import type { RunInTransaction } from '../run-in-transaction.js';
import { ANNOUNCED_KIND } from './outbox-batch.js';
import { TriggerPlan } from '../../sql/index.js';

/**
 * Writes invalidations into the outbox of trigger mode, as a part of a transaction: the
 * source announces them with its rows once it is committed, and never where it is rolled
 * back. A publisher that is killed loses nothing.
 *
 * @param outbox the option of the source, such as `public.cache_invalidation_outbox`
 * @throws InvalidMessageError, InvalidationSerializationError, and what the query throws
 * @publicApi
 */
export async function announceInOutbox(
  run: RunInTransaction,
  outbox: string,
  ...invalidations: readonly Invalidation[]
): Promise<void> {
  const content = Buffer.from(encodeAnnounced(invalidations));
  if (invalidations.length === 0) return;
  // Base64 has neither a `?` nor a `$`, which some ORMs replace.
  await run(
    `insert into ${new TriggerPlan({ outbox }).outbox} (mapped, kind, content)
     values ('', '${ANNOUNCED_KIND}', convert_from(decode('${content.toString('base64')}', 'base64'), 'UTF8'))`,
  );
}
