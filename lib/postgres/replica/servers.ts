import { InvalidationPostgresError } from '../postgres.error.js';

/** Answers of one server in a row, after which it is the only one. */
const TRUSTED = 100;

/**
 * Notices that several servers answer by turns at one address, so that what one tells is
 * not true of the one that a loader reads.
 *
 * @internal
 */
export class Servers {
  /** Servers that have answered, the latest one last. */
  #known: string[] = [];
  /** Answers of the latest one in a row. */
  #inARow = 0;
  #takeTurns = false;

  /** @throws InvalidationPostgresError while servers take turns */
  answered(server: string): void {
    const latest = this.#known.at(-1);
    if (server === latest) this.#inARow++;
    else {
      // A server that comes back was not replaced by the other.
      this.#takeTurns ||= this.#known.includes(server);
      this.#known = [...this.#known.filter((one) => one !== server), server];
      this.#inARow = 1;
    }
    if (this.#inARow >= TRUSTED) {
      this.#known = [server];
      this.#takeTurns = false;
    }
    if (this.#takeTurns) throw severalServers();
  }
}

function severalServers(): InvalidationPostgresError {
  return new InvalidationPostgresError(
    'Several servers answer by turns at the address of a replica, and each has a position of its own.',
    'Give postgresReplica a pool whose connections lead to one server.',
  );
}
