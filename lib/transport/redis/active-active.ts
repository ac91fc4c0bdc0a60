import type { Cluster, Redis } from 'ioredis';

/** Reason why a journal cannot be kept there. @internal */
export const ACTIVE_ACTIVE =
  'it is an Active-Active database (CRDT), which merges the streams of several writers: a journal has no one order there, and no chain';

/** @internal */
export const ACTIVE_ACTIVE_ADVICE =
  'Give each region a database of its own that is not Active-Active, and relay between them (option regions).';

/** Whether a server is a member of an Active-Active database of Redis Enterprise. @internal */
export async function isActiveActive(
  client: Redis | Cluster,
): Promise<boolean> {
  return /^module:name=crdt\b/m.test(await client.info('modules'));
}
