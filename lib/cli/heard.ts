import type { InvalidMessageError } from '../errors/index.js';
import {
  decodeMessage,
  wallClock,
  type InvalidationMessage,
} from '../message/index.js';

/** A message from the channel or the journal. @internal */
export interface Heard {
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
export function hear(payload: string, replayed: boolean): Heard {
  const heard = { payload, receivedAt: wallClock(), replayed };
  try {
    // Without the services' limit: a message beyond it is worth seeing here.
    const message = decodeMessage(payload, Infinity);
    return { ...heard, message, problem: null };
  } catch (error) {
    const { message, advice } = error as InvalidMessageError;
    const problem = message.replace(advice, '').trim();
    return { ...heard, message: null, problem };
  }
}
