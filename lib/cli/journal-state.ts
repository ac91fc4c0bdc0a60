import type { RedisLink } from './redis-link.js';

/** State of the journal's stream. @internal */
export interface JournalState {
  readonly length: number;
  /** Offsets of the first and the last entry; `null` if there is none. */
  readonly oldest: string | null;
  readonly newest: string | null;
  /** The highest offset ever used; `null` if Redis does not say. */
  readonly highest: string | null;
}

/**
 * Reads the state of the journal; `null` if there is none.
 *
 * @throws the error of Redis if the key is no stream, or the user may not read it.
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

/** Fields of a reply that lists names and values in turn. @internal */
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
