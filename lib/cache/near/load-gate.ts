import { AsyncLocalStorage } from 'node:async_hooks';
import { CacheBusyError } from '../../errors/index.js';
import type { ResolvedLoadOptions } from './load.options.js';

/** The load, of any cache, that the current code runs in. Code that it has left behind is not part of it. */
const entered = new AsyncLocalStorage<{ isRunning: boolean }>();

/**
 * Bounds how many loads of one cache run at a time. Others wait in the order in which
 * they were asked for, but not for ever.
 *
 * @internal
 */
export class LoadGate {
  #running = 0;
  readonly #waiting = new Set<() => void>();

  constructor(
    /** Name of the cache, for the error. */
    private readonly name: string,
    private readonly options: ResolvedLoadOptions,
  ) {}

  /**
   * Whether the caller runs in a load that has its turn, in this cache or another: loads
   * that it needs itself must not wait, for their turns may wait for it to end.
   */
  get isEntered(): boolean {
    return entered.getStore()?.isRunning === true;
  }

  /**
   * Runs a load in its turn.
   *
   * @throws CacheBusyError after `maxWait`; the load is not run then
   */
  async run<T>(load: () => Promise<T>): Promise<T> {
    if (this.#running < this.options.concurrency) this.#running++;
    else await this.#turn();
    const turn = { isRunning: true };
    try {
      return await entered.run(turn, load);
    } finally {
      turn.isRunning = false;
      this.#passOn();
    }
  }

  #turn(): Promise<void> {
    const { concurrency, maxWait } = this.options;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(begin);
        reject(new CacheBusyError(this.name, concurrency, maxWait));
      }, maxWait);
      const begin = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting.add(begin);
    });
  }

  /** Gives the turn that has ended to the load that has waited longest. */
  #passOn(): void {
    const [begin] = this.#waiting;
    if (begin === undefined) {
      this.#running--;
      return;
    }
    this.#waiting.delete(begin);
    begin();
  }
}
