/** A row of a post, as all services see it. */
export interface Post {
  readonly id: number;
  readonly authorId: number;
  readonly title: string;
  /** Still readable by id, but in no feed. */
  readonly archived: boolean;
  /** Number of updates, which distinguishes fresh copies from old ones. */
  readonly version: number;
}
