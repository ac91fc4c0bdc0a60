/**
 * The position that a replica has to pass before what is marked with it may be kept;
 * not known before the primary was asked.
 *
 * @internal
 */
export class MarkPosition {
  /** Whether the question to the primary is on its way: later marks need another one. */
  isAsked = false;

  constructor(
    /** `null` until the primary has answered. */
    public value: string | null = null,
    /** When it was first claimed, or told by the primary, by the monotonic clock. */
    public since = performance.now(),
  ) {}
}
