/** A row, and what every service knows of a user. */
export interface User {
  readonly id: number;
  readonly name: string;
  /** Counts its updates: tells a fresh copy from an old one. */
  readonly version: number;
}
