import { Checker } from '../checker.mjs';

/** Servers need the processor, too. */
const EVERY_MS = 100;
/** Problems that are shown. */
const SHOWN = 3;

/**
 * Also looks at each moment for entries that are older than what their instance was told:
 * a later message may evict them before the run ends.
 */
export class OldChecker extends Checker {
  #database;
  /** Descriptions, by instance, key and version. */
  #old = new Map();

  constructor(database) {
    super(database, EVERY_MS);
    this.#database = database;
  }

  async check(application, before) {
    const kept = await application.kept();
    this.#look(application, kept);
    return this.compare(application, kept.versions, { before });
  }

  /** Descriptions of entries that were older than what their instance was told. */
  get problems() {
    const shown = [...this.#old.values()].slice(0, SHOWN);
    return this.#old.size === 0
      ? []
      : [`${this.#old.size} entries were kept too old: ${shown.join('; ')}`];
  }

  #look({ name }, { versions, positions, times }) {
    for (const [index, version] of versions.entries()) {
      if (version === 0) continue;
      const told = { position: positions[index], time: times[index] };
      if (!this.#database.isOlder(index, version, told)) continue;
      const key = this.#database.keys[index];
      this.#old.set(
        `${name} ${key} ${version}`,
        `${name} had ${key} at version ${version}`,
      );
    }
  }
}
