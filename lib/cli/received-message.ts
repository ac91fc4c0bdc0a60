import type { InvalidMessageError } from '../errors/index.js';
import {
  decodeMessage,
  wallClock,
  type InvalidationMessage,
} from '../message/index.js';
import type { MessageSigner, UnverifiedReason } from '../signing/index.js';

/** A message from the channel or the journal. @internal */
export interface ReceivedMessage {
  readonly payload: string;
  /** `null` if it is no invalidation message. */
  readonly message: InvalidationMessage | null;
  /** The reason if it is none. */
  readonly problem: string | null;
  /** Why services do not obey it; `null` if they do, or no keys are given. */
  readonly unverified: UnverifiedReason | null;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Whether it was read in the journal: then it may be old. */
  readonly replayed: boolean;
}

/** @internal */
export function readMessage(
  payload: string,
  replayed: boolean,
  signer: MessageSigner | null = null,
): ReceivedMessage {
  const unverified = signer === null ? null : signer.verify(payload);
  const received = { payload, receivedAt: wallClock(), replayed, unverified };
  try {
    // Without the services' limit: a message beyond it is worth seeing here.
    const message = decodeMessage(payload, Infinity);
    return { ...received, message, problem: null };
  } catch (error) {
    const { message, advice } = error as InvalidMessageError;
    const problem = message.replace(advice, '').trim();
    return { ...received, message: null, problem };
  }
}
