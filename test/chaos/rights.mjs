import { setTimeout as sleep } from 'node:timers/promises';

export const RIGHT_TYPE = 'right';
export const RIGHTS = 20;
/** `maxStaleness` of the caches of rights. */
export const RIGHTS_BOUND_MS = 2_000;
const EVERY_MS = 100;
/** Problems that are shown. */
const SHOWN = 5;

/**
 * The true rights, each a version: every revocation makes the next one. Asks all instances
 * for all rights again and again, and compares what they answer with the revocations that
 * were confirmed longer ago than the bound.
 */
export class Rights {
  /** Rights in answers that a confirmed revocation had to be in. */
  reads = 0;
  #versions = new Int32Array(RIGHTS).fill(1);
  /** `{ version, at }` of the confirmed revocations of each right. */
  #confirmed = Array.from({ length: RIGHTS }, () => []);
  #problems = [];
  #lastAt = -Infinity;
  #stopped = false;
  #applications = [];
  #watches = [];

  read(right) {
    return this.#versions[right];
  }

  /** @returns the new version */
  revoke(right) {
    return ++this.#versions[right];
  }

  /** The message of that revocation was delivered, says its publisher. */
  confirmed(right, version) {
    const known = this.#confirmed[right];
    const latest = known.at(-1)?.version ?? 0;
    this.#lastAt = performance.now();
    known.push({ at: this.#lastAt, version: Math.max(version, latest) });
  }

  get problems() {
    const more = this.#problems.length - SHOWN;
    const rest = more > 0 ? [`and ${more} more revoked rights`] : [];
    return [...this.#problems.slice(0, SHOWN), ...rest];
  }

  /** Checks an instance repeatedly, until `stop()`. */
  watch(application) {
    this.#applications.push(application);
    this.#watches.push(this.#watch(application));
  }

  async stop() {
    this.#stopped = true;
    await Promise.all(this.#watches);
  }

  /** The last check, once every revocation is older than the bound. */
  async checkAll() {
    const age = performance.now() - this.#lastAt;
    await sleep(Math.max(0, RIGHTS_BOUND_MS - age));
    const running = this.#applications.filter((each) => each.running);
    await Promise.all(running.map((each) => this.#check(each)));
  }

  async #watch(application) {
    while (!this.#stopped && application.running) {
      // Asked without waiting: a process that was frozen answers questions of that time
      // before it does anything else.
      void this.#check(application);
      await sleep(EVERY_MS);
    }
  }

  async #check(application) {
    const asked = performance.now();
    let versions;
    try {
      versions = await application.rights();
    } catch (error) {
      // A process that has ended answers nothing.
      if (!application.running || this.#stopped) return;
      this.#problems.push(`${application.name}: ${error.message}`);
      return;
    }
    for (const [right, version] of versions.entries()) {
      this.#compare(application, { right, version, asked });
    }
  }

  #compare({ name }, { right, version, asked }) {
    const known = this.#confirmed[right];
    const due = known.findLast(({ at }) => at <= asked - RIGHTS_BOUND_MS);
    if (due === undefined) return;
    this.reads++;
    if (version >= due.version) return;
    const { at } = known.find((each) => each.version > version);
    const age = Math.round(asked - at).toLocaleString('en-US');
    this.#problems.push(
      `${name} served ${RIGHT_TYPE}:${right} at version ${version}, revoked ${age} ms ago`,
    );
  }
}
