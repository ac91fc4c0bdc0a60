import type { InvalidationMessage } from '../message/index.js';
import type {
  HeartbeatOptions,
  JournaledMessage,
} from '../subscriber/index.js';

/** @internal */
export interface ReaderOptions extends HeartbeatOptions {
  readonly maxMessageBytes: number;
  readonly queueByteLimit: number;
}

/** @internal */
export interface ReaderListener {
  /** The next message of the source's journal. */
  onMessage(message: JournaledMessage): void;
  /** A message that claims a place in the journal where it is not: late, or of another one. */
  onStray(message: JournaledMessage): void;
  /** A message of a publisher that keeps no journal. */
  onForeign(message: InvalidationMessage): void;
  /** Such a message came while nothing was handed on. */
  onIgnored(): void;
  /** The subscription stands, at first or again. */
  onSubscribed(): void;
  /** Everything that the subscription may have missed was handed on, or given up. */
  onCaughtUp(): void;
  /** Messages before this end of the source's journal are not known. */
  onMissed(tail: string): void;
  /** More was held than there is room for: begin again where the record is. */
  onOverflow(): void;
  /** A message could not be verified, or was too large, and may be a real one. */
  onUnreadable(): void;
  /** Everything up to the journal's end was received as of then. */
  onProof(asOf: number): void;
  onError(cause: Error): void;
  /** Resolves once there is room for more messages. */
  room(): Promise<void>;
}
