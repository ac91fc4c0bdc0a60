import { fork } from 'node:child_process';
import { once } from 'node:events';
import { adopt, end, hasExited } from './processes.mjs';
import { Rpc } from './rpc.mjs';
import { within } from './wait.mjs';

const SCRIPT = new URL('application/application.process.mjs', import.meta.url);
const CLOCK = new URL('application/clock.mjs', import.meta.url);
const MUTATE = new URL('application/mutate.mjs', import.meta.url);
const EXITED_WITHIN_MS = 3_000;
const ERROR_OUTPUT = 4_000;

/**
 * A process that runs applications one after the other, since loading Nest
 * takes longer than most faults. A process that was killed, or that may be
 * damaged, is not used again.
 */
export class Host {
  static #idle = [];
  /** Answers to the calls of the application; replaced for each application. */
  handlers = {};
  #child;
  #rpc;
  #stderr = '';
  #reusable;

  /**
   * @param clockShift milliseconds by which its machine's clock is wrong from the start
   * @param mutant fault of the library from the start, see mutants.mjs; `null` for none
   */
  static take({ clockShift = 0, mutant = null } = {}) {
    if (clockShift !== 0 || mutant !== null)
      return new Host(clockShift, mutant);
    return Host.#idle.pop() ?? new Host(0, null);
  }

  /** Ends all processes. @returns the processes that did not end properly */
  static async dismissAll() {
    const hosts = Host.#idle.splice(0);
    const complaints = await Promise.all(hosts.map((host) => host.#dismiss()));
    return complaints.filter((complaint) => complaint !== null);
  }

  constructor(clockShift, mutant) {
    this.#reusable = clockShift === 0 && mutant === null;
    this.#child = adopt(
      fork(SCRIPT, {
        execArgv: ['--import', CLOCK.href, '--import', MUTATE.href],
        env: {
          ...process.env,
          CHAOS_CLOCK_SHIFT: String(clockShift),
          CHAOS_MUTANT: mutant ?? '',
        },
        // Typed arrays without JSON, since caches are queried often.
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      }),
    );
    this.#child.stderr.on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-ERROR_OUTPUT);
    });
    const ask =
      (name) =>
      (...args) =>
        this.handlers[name](...args);
    this.#rpc = new Rpc(this.#child, {
      read: ask('read'),
      write: ask('write'),
      outboxPending: ask('outboxPending'),
      outboxRemove: ask('outboxRemove'),
      readRight: ask('readRight'),
      revokeRight: ask('revokeRight'),
      confirmRight: ask('confirmRight'),
    });
    this.#child.once('exit', (code, signal) => {
      this.handlers.died?.(`${code ?? signal}: ${this.#stderr}`);
    });
  }

  call(name, ...args) {
    return this.#rpc.call(name, ...args);
  }

  signal(name) {
    this.#child.kill(name);
  }

  /**
   * Frees the process for the next application; this one must have closed
   * completely.
   */
  async release() {
    this.handlers = {};
    if (!this.#reusable) return this.#dismiss();
    await this.call('setClock', 0);
    Host.#idle.push(this);
    return null;
  }

  async kill() {
    this.handlers = {};
    await end(this.#child);
  }

  /** Ends the process by closing the channel to it: nothing else may keep it alive. */
  async #dismiss() {
    if (hasExited(this.#child)) return `ended by itself: ${this.#stderr}`;
    const exited = once(this.#child, 'exit');
    await this.call('leave').catch(() => {});
    try {
      const [code] = await within(EXITED_WITHIN_MS, 'an exit', exited);
      return code === 0 ? null : `exited with ${code}: ${this.#stderr}`;
    } catch {
      await end(this.#child);
      return 'something kept its process up after app.close()';
    }
  }
}
