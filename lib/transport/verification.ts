import { setImmediate } from 'node:timers/promises';
import { readOwnPlace } from '../message/index.js';
import type { MessageSigner } from '../signing/index.js';
import type {
  JournalEntry,
  TransportListener,
} from './invalidation.transport.js';

/** Entries that are verified without a pause for the event loop. */
const SLICE = 1_000;

/**
 * A listener whose messages are verified before they reach another one.
 *
 * @param maxBytes larger payloads are not verified: that would take long
 * @internal
 */
export function verifyMessages(
  listener: TransportListener,
  signer: MessageSigner,
  maxBytes: number,
): TransportListener {
  const onMessage = (payload: string): void => {
    const isOversized = signer.isStrict && payload.length > maxBytes;
    const reason = isOversized ? 'oversized' : signer.verify(payload);
    if (reason === null) listener.onMessage(payload);
    else listener.onUnverified(reason, readOwnPlace(payload) !== null);
  };
  return {
    onMessage,
    onUnverified: (reason, placed) => listener.onUnverified(reason, placed),
    onSubscribed: () => listener.onSubscribed(),
    onLost: (cause) => listener.onLost(cause),
    onWritable: () => listener.onWritable(),
    onError: (cause) => listener.onError(cause),
  };
}

/** Entries without the payloads that cannot be verified; the event loop has turns meanwhile. @internal */
export async function verifyEntries(
  entries: readonly JournalEntry[],
  signer: MessageSigner,
): Promise<JournalEntry[]> {
  const verified: JournalEntry[] = [];
  for (const [index, entry] of entries.entries()) {
    if (index > 0 && index % SLICE === 0) await setImmediate();
    const unverified = signer.verify(entry.payload);
    const { offset } = entry;
    verified.push(
      unverified === null ? entry : { offset, payload: '', unverified },
    );
  }
  return verified;
}
