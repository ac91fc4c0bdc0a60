import { AsyncLocalStorage } from 'node:async_hooks';
import { CacheBusyError } from '../../errors/index.js';
import type { ResolvedLoadOptions } from './load.options.js';

/** Gates of the loads that the current code runs in, across all caches. */
const entered = new AsyncLocalStorage<readonly LoadGate[]>();

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
   * Whether the caller runs in a load that has its turn: loads that it needs itself
   * must not wait for that turn to end.
   */
  get isEntered(): boolean {
    return entered.getStore()?.includes(this) === true;
  }

  /**
   * Runs a load in its turn.
   *
   * @throws CacheBusyError after `maxWait`; the load is not run then
   */
  async run<T>(load: () => Promise<T>): Promise<T> {
    if (this.isEntered) return load();
    if (this.#running < this.options.concurrency) this.#running++;
    else await this.#turn();
    try {
      return await entered.run([...(entered.getStore() ?? []), this], load);
    } finally {
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
