import { readOwnPlace } from '../message/index.js';
import type { MessageSigner } from '../signing/index.js';
import type {
  JournalEntry,
  TransportListener,
} from './invalidation.transport.js';

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

/** Entries without the payloads that cannot be verified. @internal */
export function verifyEntries(
  entries: readonly JournalEntry[],
  signer: MessageSigner,
): JournalEntry[] {
  return entries.map((entry) => {
    const unverified = signer.verify(entry.payload);
    return unverified === null
      ? entry
      : { offset: entry.offset, payload: '', unverified };
  });
}
