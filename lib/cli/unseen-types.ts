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

/** The result of a search in the journal. @internal */
export interface Unseen {
  /** Prefixes of cache keys that no entry names. */
  readonly prefixes: readonly string[];
  /** Entries that were searched: up to the one that named the last prefix. */
  readonly searched: number;
}

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
  const custom = prefixesOf(invalidation).filter(
    (prefix) => !isBuiltInEntityType(entityTypeOf(prefix)),
  );
  const { prefixes, searched } = await unseenPrefixes(link, custom);
  return searched === 0 ? [] : prefixes.map(entityTypeOf);
}

/**
 * Searches the journal, from its end on, for messages about entities of these
 * prefixes.
 *
 * @internal
 */
export async function unseenPrefixes(
  link: RedisLink,
  prefixes: readonly string[],
): Promise<Unseen> {
  const unseen = new Set(prefixes);
  let end = '+';
  let searched = 0;
  while (unseen.size > 0 && searched < RECENT) {
    const page = await link.within(
      'a reading of the journal',
      link.client.xrevrange(link.journal.key, end, '-', 'COUNT', PAGE),
    );
    searched += page.length;
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
  return { prefixes: [...unseen], searched };
}
