import { Logger } from '@nestjs/common';
import {
  describeCause,
  InvalidationConfigurationError,
} from '../errors/index.js';
import {
  decodeMessage,
  show,
  type InvalidationMessage,
} from '../message/index.js';

type Condition = (message: InvalidationMessage) => boolean;

/**
 * Decides for `InMemoryBroker.drop()` which messages are lost.
 *
 * @internal
 */
export class MessageLosses {
  /** Errors of the test's condition; `null` while the test itself publishes nothing. */
  #thrown: unknown[] | null = null;

  /**
   * @returns whether a payload is lost
   * @throws InvalidationConfigurationError for an impossible number
   */
  ruleFor(which: number | Condition): (payload: string) => boolean {
    if (typeof which === 'function') {
      return (payload) =>
        readMessage(payload, (message) => this.#isLost(message, which)) ??
        false;
    }
    if (!Number.isSafeInteger(which) || which < 0) {
      throw new InvalidationConfigurationError(
        `${show(which)} is not a number of messages.`,
        [],
        'Give a whole number, 0 to lose none, or a function of the message.',
      );
    }
    let left = which;
    return () => left > 0 && left-- > 0;
  }

  /**
   * Publishes for the test.
   *
   * @throws the first error of the condition, once every application has received
   */
  during(publish: () => void): void {
    const thrown: unknown[] = [];
    this.#thrown = thrown;
    try {
      publish();
    } finally {
      this.#thrown = null;
    }
    if (thrown.length > 0) throw thrown[0];
  }

  /** An application that publishes would take a thrown error for one of Redis. */
  #isLost(message: InvalidationMessage, condition: Condition): boolean {
    try {
      return condition(message);
    } catch (error) {
      if (this.#thrown !== null) this.#thrown.push(error);
      else {
        new Logger('CacheInvalidation').error(
          `The function given to drop() has thrown, and the message was delivered: ${describeCause(error as Error)}`,
        );
      }
      return false;
    }
  }
}

/** @returns `undefined` if the payload is no message @internal */
export function readMessage<T>(
  payload: string,
  read: (message: InvalidationMessage) => T,
): T | undefined {
  let message: InvalidationMessage;
  try {
    message = decodeMessage(payload, Infinity);
  } catch {
    return undefined;
  }
  return read(message);
}
