import {
  entityTypeOf,
  isBuiltInEntityType,
  prefixesOf,
  type Invalidation,
} from '../message/index.js';
import { readMessage } from './received-message.js';
import type { RedisLink } from './redis-link.js';

const PAGE = 200;
/** Entries at the end of the journal that are searched. */
const RECENT = 10_000;

/**
 * Entity types of an invalidation that are neither built in nor published lately:
 * typing errors, perhaps. None without a journal.
 *
 * @internal
 */
export async function unseenTypes(
  link: RedisLink,
  invalidation: Invalidation,
): Promise<string[]> {
  // A pattern names cache keys, not entity types.
  if (invalidation.action === 'Pattern') return [];
  const unseen = new Set(
    prefixesOf(invalidation).filter(
      (prefix) => !isBuiltInEntityType(entityTypeOf(prefix)),
    ),
  );
  let end = '+';
  for (let read = 0; unseen.size > 0 && read < RECENT; read += PAGE) {
    const page = await link.within(
      'a reading of the journal',
      link.client.xrevrange(link.journal.key, end, '-', 'COUNT', PAGE),
    );
    if (page.length === 0 && read === 0) return [];
    for (const [, [, payload = '']] of page) {
      const { message } = readMessage(payload, true);
      for (const prefix of message === null ? [] : prefixesOf(message)) {
        unseen.delete(prefix);
      }
    }
    const last = page.at(-1)?.[0];
    if (last === undefined || page.length < PAGE) break;
    // Exclusive: the last entry is not read again.
    end = `(${last}`;
  }
  return [...unseen].map(entityTypeOf);
}
