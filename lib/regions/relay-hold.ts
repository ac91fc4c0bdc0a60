import type { RelayRecord } from '../transport/index.js';

/** How often the holder renews its hold, and others look for one, in milliseconds. */
const LOOK_MS = 1_000;
/** Milliseconds after which a holder that is gone is replaced. */
const HOLD_MS = 5_000;

/** @internal */
export interface HoldListener {
  /** This relay is the holder now. */
  onTaken(): void;
  /** Another relay is the holder. */
  onLost(): void;
  /** This relay could not begin its work, which another one may do. */
  onFailed(error: Error): void;
}

/**
 * Decides which of several relays of one source works: the holder. It saves traffic
 * only; two of them at once do no harm.
 *
 * @internal
 */
export class RelayHold {
  #timer: NodeJS.Timeout | null = null;
  #isHeld = false;

  constructor(
    private readonly record: RelayRecord,
    private readonly listener: HoldListener,
  ) {}

  /** Whether this relay is the holder. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** @param most milliseconds between two looks at the most */
  start(most: number): void {
    const period = Math.min(LOOK_MS, most);
    this.#timer = setInterval(() => void this.look(), period).unref();
    void this.look();
  }

  /** Becomes or stays the holder, unless another relay is. */
  async look(): Promise<void> {
    let isHeld: boolean;
    try {
      isHeld = await this.record.hold(HOLD_MS);
    } catch {
      // This region's Redis is away: nobody else can become the holder either.
      return;
    }
    if (this.#timer === null || isHeld === this.#isHeld) return;
    this.#isHeld = isHeld;
    if (!isHeld) return this.listener.onLost();
    try {
      this.listener.onTaken();
    } catch (error) {
      this.listener.onFailed(error as Error);
      this.listener.onLost();
      await this.#release();
    }
  }

  /** Lets another relay become the holder. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    if (this.#isHeld) await this.#release();
  }

  async #release(): Promise<void> {
    this.#isHeld = false;
    try {
      await this.record.release();
    } catch {
      // Its time runs out.
    }
  }
}
