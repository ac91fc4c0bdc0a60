import type { InvalidMessageError } from '../errors/index.js';
import {
  decodeMessage,
  wallClock,
  type InvalidationMessage,
} from '../message/index.js';

/** What a command heard on the channel, or read in the journal. @internal */
export interface Heard {
  readonly payload: string;
  /** `null` if it is no invalidation message. */
  readonly message: InvalidationMessage | null;
  /** Why it is none. */
  readonly problem: string | null;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Whether it comes from the journal: then it may be old. */
  readonly replayed: boolean;
}

/** @internal */
export function hear(payload: string, replayed: boolean): Heard {
  const heard = { payload, receivedAt: wallClock(), replayed };
  try {
    // Whatever the services' limit is: who looks for the reason wants to see it.
    const message = decodeMessage(payload, Infinity);
    return { ...heard, message, problem: null };
  } catch (error) {
    const { message, advice } = error as InvalidMessageError;
    const problem = message.replace(advice, '').trim();
    return { ...heard, message: null, problem };
  }
}
