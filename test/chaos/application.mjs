import { Host } from './host.mjs';
import { MUTANTS } from './mutants.mjs';
import { within } from './wait.mjs';

const STARTED_WITHIN_MS = 30_000;

/** An instance in another process, and the links between it and Redis. */
export class Application {
  name;
  links;
  /** Whether the instance changes rows. */
  writes;
  /** With regions: its own, and those that it hears. */
  region;
  sources;
  running = false;
  /** Reason why its life or its end was wrong. */
  complaint = null;
  #host;
  /** Last report of the instance. */
  #report = null;

  /**
   * @param settings see application.process.mjs
   * @param database answers its queries
   * @param rights answers those of its rights; `null` if it has none
   * @param clockShift milliseconds by which its machine's clock is wrong
   */
  static async launch({ clockShift, settings, ...options }) {
    const { broken } = settings;
    const mutant = broken in MUTANTS ? broken : null;
    const host = Host.take({ clockShift, mutant });
    const application = new Application(options, host);
    try {
      const started = application.#host.call('start', settings);
      await within(STARTED_WITHIN_MS, `${options.name} to start`, started);
      application.running = true;
      return application;
    } catch (error) {
      await application.kill();
      throw error;
    }
  }

  constructor(
    { name, links, writes, database, rights, region, sources },
    host,
  ) {
    this.name = name;
    this.region = region ?? null;
    this.sources = sources ?? [];
    this.links = links;
    this.writes = writes;
    this.#host = host;
    host.handlers = {
      read: (keys) => database.read(keys),
      write: (keys, stored) => database.write(keys, name, stored),
      outboxPending: (query) => database.outboxPending(query),
      outboxRemove: (messageIds) => database.outboxRemove(messageIds),
      readRight: (right) => rights.read(right),
      revokeRight: (right) => rights.revoke(right),
      confirmRight: (right, version) => rights.confirmed(right, version),
      died: (how) => {
        this.running = false;
        this.complaint = `died, ${how}`;
      },
    };
  }

  startWriting() {
    return this.#host.call('startWriting');
  }

  /** Resolves once the running calls have returned. */
  stopWriting() {
    return this.#host.call('stopWriting');
  }

  publishLarge(messages, bytes) {
    return this.#host.call('publishLarge', messages, bytes);
  }

  /** Versions in memory, in the order of the database's keys; 0 for no entry. */
  versions() {
    return this.#host.call('versions');
  }

  /** Versions of all rights, as reads get them; none once it is closing. */
  rights() {
    return this.#host.call('rights');
  }

  /** `versions()`, and what messages have told of each row, see `Told`. */
  kept() {
    return this.#host.call('kept');
  }

  /**
   * Versions that reads would get from Redis, in the same order, and the
   * failures so far.
   */
  shared() {
    return this.#host.call('shared');
  }

  /** Report of the instance; after its end, the last known one. */
  async report() {
    if (this.running) this.#report = await this.#host.call('report');
    return this.#report;
  }

  /** Milliseconds since each source was proven, by its name. */
  staleness() {
    return this.#host.call('staleness', this.sources);
  }

  /** Sources that this instance relays at the moment. */
  relayed() {
    return this.#host.call('relayed');
  }

  setClock(shift) {
    return this.#host.call('setClock', shift);
  }

  pause() {
    this.#host.signal('SIGSTOP');
  }

  resume() {
    this.#host.signal('SIGCONT');
  }

  /** SIGKILL. */
  async kill() {
    this.running = false;
    await this.#host?.kill();
    this.#host = null;
  }

  /** Closes it as a deployment does; nothing may be left of it in its process. */
  async close() {
    if (!this.running) return;
    this.#report = await this.#host.call('close');
    this.running = false;
    const { leftBehind } = this.#report;
    if (leftBehind.length > 0) {
      this.complaint = `left behind after app.close(): ${leftBehind.join(', ')}`;
      await this.#host.kill();
    } else {
      this.complaint ??= await this.#host.release();
    }
    this.#host = null;
  }
}
