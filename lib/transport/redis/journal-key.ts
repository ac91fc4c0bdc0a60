const HASH_TAG = /\{[^}]+\}/;

/**
 * The key of a channel's journal, in the channel's hash slot. If the channel has a
 * hash tag already, that one must stay the one that counts.
 *
 * @internal
 */
export function journalKey(channel: string): string {
  return HASH_TAG.test(channel) ? `${channel}:journal` : `{${channel}}:journal`;
}

/**
 * Whether another channel has the same journal: `{a}` and `a` have one key, and
 * would break each other's chain.
 *
 * @internal
 */
export function sharesJournal(channel: string): boolean {
  return (
    HASH_TAG.test(channel) &&
    /^\{[^]*\}$/.test(channel) &&
    !HASH_TAG.test(channel.slice(1, -1))
  );
}
