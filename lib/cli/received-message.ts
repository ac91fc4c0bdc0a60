import type { InvalidMessageError } from '../errors/index.js';
import {
  decodeMessage,
  wallClock,
  type InvalidationMessage,
} from '../message/index.js';

/** A message from the channel or the journal. @internal */
export interface ReceivedMessage {
  readonly payload: string;
  /** `null` if it is no invalidation message. */
  readonly message: InvalidationMessage | null;
  /** The reason if it is none. */
  readonly problem: string | null;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Whether it was read in the journal: then it may be old. */
  readonly replayed: boolean;
}

/** @internal */
export function readMessage(
  payload: string,
  replayed: boolean,
): ReceivedMessage {
  const received = { payload, receivedAt: wallClock(), replayed };
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
