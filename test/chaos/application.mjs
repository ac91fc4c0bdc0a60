import { Host } from './host.mjs';
import { within } from './wait.mjs';

const STARTED_WITHIN_MS = 30_000;

/** An instance in another process, and the links between it and Redis. */
export class Application {
  name;
  links;
  /** Whether it changes rows. */
  writes;
  running = false;
  /** What is wrong with how it lived or ended. */
  complaint = null;
  #host;
  /** The last that it said of itself. */
  #report = null;

  /**
   * @param settings see application.process.mjs
   * @param database answers its queries
   * @param clockShift milliseconds by which its machine's clock is wrong
   */
  static async launch({ clockShift, settings, ...options }) {
    const application = new Application(options, Host.take(clockShift));
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

  constructor({ name, links, writes, database }, host) {
    this.name = name;
    this.links = links;
    this.writes = writes;
    this.#host = host;
    host.handlers = {
      read: (keys) => database.read(keys),
      write: (keys, stored) => database.write(keys, name, stored),
      outboxPending: (query) => database.outboxPending(query),
      outboxRemove: (messageIds) => database.outboxRemove(messageIds),
      died: (how) => {
        this.running = false;
        this.complaint = `died, ${how}`;
      },
    };
  }

  startWriting() {
    return this.#host.call('startWriting');
  }

  /** Resolves once its calls have returned. */
  stopWriting() {
    return this.#host.call('stopWriting');
  }

  publishLarge(messages, bytes) {
    return this.#host.call('publishLarge', messages, bytes);
  }

  /** What it keeps in memory, in the order of the database's keys; 0 for nothing. */
  versions() {
    return this.#host.call('versions');
  }

  /** What it would serve from Redis, in the same way, and its failures so far. */
  shared() {
    return this.#host.call('shared');
  }

  /** What it says of itself; of one that has ended, the last that is known. */
  async report() {
    if (this.running) this.#report = await this.#host.call('report');
    return this.#report;
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

  /** As a deployment does; nothing of it may be left in its process. */
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
