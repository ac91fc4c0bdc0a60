/** @internal */
export interface ReceiverListener {
  /** A message is held until the journal has been read. */
  onGap(): void;
  /** The position may have moved. @param live by a message that came over the channel */
  onMoved(live: boolean): void;
  /** "Everything" was delivered. */
  onWidened(): void;
  /** A message came from a publisher that keeps no journal. */
  onForeign(): void;
}
