/** A row of a user, as all services see it. */
export interface User {
  readonly id: number;
  readonly name: string;
  /** Number of updates, which distinguishes fresh copies from old ones. */
  readonly version: number;
}
