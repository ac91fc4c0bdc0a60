/**
 * The place of a relay in its source. A source that has failed over may come to an
 * offset again, and messages without an offset leave it as it is, so the offset alone
 * does not tell two places apart.
 *
 * @internal
 */
export interface RelayPlace {
  /** Offset of the source up to which everything was forwarded; `null` if there is none yet. */
  readonly offset: string | null;
  /**
   * How often a relay has begun again at the end of the source's journal, or forwarded a
   * message without an offset.
   */
  readonly restarts: number;
}

/** State of a relay, as the region's own Redis keeps it. @internal */
export interface RelayState {
  readonly place: RelayPlace;
  /** Whether the source has publishers without a journal. */
  readonly foreign: boolean;
}

/**
 * The effect of a message on the record of its relay.
 *
 * - `next`: the next one of the source's journal
 * - `restart`: "everything", for messages that are lost; the source goes on at its offset
 * - `foreign`: of a publisher without a journal; only the holder forwards it
 * - `extra`: anything else; like a foreign message it has no offset
 *
 * @internal
 */
export type ForwardedKind = 'next' | 'restart' | 'foreign' | 'extra';

/** A message on its way from a source to the region's own journal. @internal */
export interface ForwardedMessage {
  readonly payload: string;
  readonly kind: ForwardedKind;
  /** Offset up to which the source is forwarded with it; `null` if it does not say. */
  readonly offset: string | null;
}

/**
 * The record of one relay beside the region's own journal: up to where the messages of
 * a source were forwarded, who forwards them, and when that was proved to be all.
 *
 * Every method rejects if the broker does not answer.
 *
 * @internal
 */
export interface RelayRecord {
  read(): Promise<RelayState>;

  /**
   * Journals and publishes messages and moves the record, in one step, provided that
   * the record is where this relay has left it. Foreign messages are only taken from
   * the holder.
   *
   * @param from where the record is
   * @param to the offset at which it shall be
   * @returns where it is now; `null` if nothing was done
   */
  forward(
    from: RelayPlace,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<RelayPlace | null>;

  /**
   * Records that everything up to this place was forwarded, if the record is there. A
   * proof counts only once the time of the broker is known, from `hold()` or from an
   * earlier call.
   *
   * @param age milliseconds since that was known
   * @returns whether the record is there
   */
  prove(place: RelayPlace, age: number): Promise<boolean>;

  /** Milliseconds since the last proof; `null` if there is none. */
  proofAge(): Promise<number | null>;

  /**
   * Makes this relay the holder, or keeps it, unless there is another one.
   *
   * @param ttl milliseconds until another one may become it
   */
  hold(ttl: number): Promise<boolean>;

  /** Lets another relay become the holder at once. */
  release(): Promise<void>;
}
