import type { Staleness } from './staleness.js';

/**
 * Holds the start of the application until the session is live, or for
 * `startupTimeout`: an application must start without Redis.
 *
 * @internal
 */
export class StartGate {
  #open: (() => void) | null = null;

  constructor(private readonly staleness: Staleness) {}

  /**
   * @param timeout in milliseconds
   * @param onLate called after that time, before the application starts without Redis
   */
  async wait(timeout: number, onLate: () => void): Promise<void> {
    const opened = new Promise<void>((resolve) => (this.#open = resolve));
    const late = setTimeout(() => {
      onLate();
      this.open();
    }, timeout);
    await opened;
    clearTimeout(late);
  }

  /** Requests are served from now on. */
  open(): void {
    this.staleness.serve();
    this.release();
  }

  /** Lets the start go on: the application ends. */
  release(): void {
    this.#open?.();
    this.#open = null;
  }
}
