/** How far own messages have come on their way to the journal. @internal */
export abstract class PublishProgress {
  /** A number that only messages published from now on come after. */
  abstract readonly mark: number;

  /** Messages that Redis has not taken. */
  abstract readonly pending: number;

  /** Journal offset of the last message that Redis has taken. */
  abstract readonly lastOffset: string | null;

  /** Whether Redis has taken all that was published before a mark. */
  abstract hasTaken(mark: number): boolean;
}
