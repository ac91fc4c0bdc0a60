/** How far own messages have come on their way to the journal. @internal */
export abstract class PublishProgress {
  /** Marks this moment: messages published later come after the mark. */
  abstract readonly mark: number;

  /** Messages that Redis has not accepted yet. */
  abstract readonly pending: number;

  /** Journal offset of the last message that Redis has accepted. */
  abstract readonly lastOffset: string | null;

  /** Whether Redis has accepted every message published before a mark. */
  abstract hasTaken(mark: number): boolean;
}
