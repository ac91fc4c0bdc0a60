import {
  type CacheInvalidationError,
  InvalidMessageError,
  OversizedMessageError,
} from '../errors/index.js';
import { decodeMessage, type InvalidationMessage } from '../message/index.js';
import type { ErrorReporter, InvalidationMeter } from '../stream/index.js';

/** Refused payloads that are reported within a second; the others are counted. */
const REPORTED = 100;
const SECOND_MS = 1_000;

/**
 * Reads payloads from the channel. One that is no message is counted and
 * reported. In a flood of them it is only counted, and no error has a stack: that
 * costs more than the rest, and real messages wait behind it.
 *
 * @internal
 */
export class PayloadDecoder {
  #second = -Infinity;
  #refused = 0;

  constructor(
    private readonly maxMessageBytes: number,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
    /** Called for an oversized payload, which may be a batch of a publisher with a larger limit. */
    private readonly onOversized: () => void,
  ) {}

  /** @returns `null` for what is no message, or too large to be read */
  decode(payload: string): InvalidationMessage | null {
    const limit = Error.stackTraceLimit;
    if (this.#isFlood) Error.stackTraceLimit = 0;
    try {
      return decodeMessage(payload, this.maxMessageBytes);
    } catch (error) {
      this.#refuse(error);
      return null;
    } finally {
      Error.stackTraceLimit = limit;
    }
  }

  get #isFlood(): boolean {
    return this.#refused >= REPORTED;
  }

  #refuse(error: unknown): void {
    const now = performance.now();
    if (now - this.#second >= SECOND_MS) {
      this.#second = now;
      this.#refused = 0;
    }
    this.#refused++;
    this.meter.malformed();
    if (this.#refused <= REPORTED) this.errors.report(typed(error));
    if (error instanceof OversizedMessageError) this.onOversized();
  }
}

function typed(error: unknown): CacheInvalidationError {
  return error instanceof InvalidMessageError
    ? error
    : new InvalidMessageError('A message could not be read.', '', null, error);
}
