import type { RedisLink } from './redis.link.js';

/** @internal */
export interface JournalState {
  readonly length: number;
  /** The first and the last entry's offset; `null` if there is none. */
  readonly oldest: string | null;
  readonly newest: string | null;
  /** The highest offset there ever was; `null` where Redis does not tell. */
  readonly highest: string | null;
}

/**
 * Of the journal as Redis describes it; `null` if there is none.
 *
 * @throws what Redis answers if that key is no stream, or is not to be seen.
 * @internal
 */
export async function journalState(
  link: RedisLink,
): Promise<JournalState | null> {
  const { client, journal } = link;
  let reply: unknown;
  try {
    reply = await link.within(
      'XINFO STREAM',
      client.xinfo('STREAM', journal.key),
    );
  } catch (error) {
    if ((error as Error).message.includes('no such key')) return null;
    throw error;
  }
  const fields = fieldsOf(reply);
  return {
    length: Number(fields.get('length')),
    oldest: offsetOf(fields.get('first-entry')),
    newest: offsetOf(fields.get('last-entry')),
    highest: textOf(fields.get('last-generated-id')),
  };
}

/** Of a reply that names its fields. @internal */
export function fieldsOf(reply: unknown): Map<string, unknown> {
  const list = Array.isArray(reply) ? (reply as unknown[]) : [];
  const fields = new Map<string, unknown>();
  for (let at = 0; at + 1 < list.length; at += 2) {
    fields.set(String(list[at]), list[at + 1]);
  }
  return fields;
}

function textOf(field: unknown): string | null {
  return typeof field === 'string' ? field : null;
}

function offsetOf(entry: unknown): string | null {
  return Array.isArray(entry) ? String(entry[0]) : null;
}
