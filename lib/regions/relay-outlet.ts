import type { InvalidationMessage } from '../message/index.js';
import type { ForwardedKind, RelayPlace } from '../transport/index.js';

/** A message of a source that is to be published in this region. @internal */
export interface RelayedMessage {
  readonly message: InvalidationMessage;
  readonly kind: ForwardedKind;
  /** Offset up to which the source is forwarded with it; `null` if it does not say. */
  readonly offset: string | null;
}

/** The way of a source's messages into the region's own journal, in order. @internal */
export interface RelayOutlet {
  /** Drops what is on its way, and begins again where the record is. */
  begin(from: RelayPlace): void;
  /** Takes the next message. @returns whether there was room for it */
  push(message: RelayedMessage): boolean;
  /** Passes over a message that is not for this region. */
  skip(offset: string): void;
  /**
   * Records a proof once everything before it is forwarded.
   *
   * @param asOf what `performance.now()` said when it was begun
   */
  prove(asOf: number): void;
  /** Resolves once there is room for more messages. */
  room(): Promise<void>;
}

/** Before the record was read. @internal */
export const NOWHERE: RelayPlace = { offset: null, restarts: 0 };
