/** State of a relay, as the region's own Redis keeps it. @internal */
export interface RelayState {
  /** Offset of the source up to which everything was forwarded; `null` if there is none yet. */
  readonly offset: string | null;
  /** Whether the source has publishers without a journal. */
  readonly foreign: boolean;
}

/** A message on its way from a source to the region's own journal. @internal */
export interface ForwardedMessage {
  readonly payload: string;
  /** Offset up to which the source is forwarded with it; `null` if it does not say. */
  readonly offset: string | null;
  /** Whether it came from a publisher without a journal: only the holder forwards it. */
  readonly foreign: boolean;
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
   * @param from where the record is; `null` if there is none
   * @param to where it shall be
   * @returns whether it was done; otherwise nothing was
   */
  forward(
    from: string | null,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<boolean>;

  /**
   * Records that everything up to this offset was forwarded, if the record is there.
   *
   * @param age milliseconds since that was known
   */
  prove(offset: string, age: number): Promise<boolean>;

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
