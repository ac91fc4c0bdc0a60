/** A row, and what every service knows of a post. */
export interface Post {
  readonly id: number;
  readonly authorId: number;
  readonly title: string;
  /** Still there for who has its id, but in no feed. */
  readonly archived: boolean;
  /** Counts its updates: tells a fresh copy from an old one. */
  readonly version: number;
}
