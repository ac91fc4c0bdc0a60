import { Deadlines } from '../common/index.js';
import type { InvalidationMessage } from '../message/index.js';
import type { RelayPlace } from '../transport/index.js';
import type { RelayedMessage, RelayOutlet } from './relay-outlet.js';

/** Messages that are held at one time. */
const HELD_LIMIT = 10_000;

interface Held {
  /** Hands it on. */
  readonly pass: (outlet: RelayOutlet) => void;
  done: boolean;
  /** Offset of the last message that is passed over here; absent if it is a message. */
  skippedTo?: string;
}

/**
 * Holds each message back until the application says that this region's replica of the
 * database has its row, or until its time is up. Messages pass in their order.
 *
 * @internal
 */
export class ReplicaGate implements RelayOutlet {
  #waiting: Held[] = [];
  #roomy: (() => void)[] = [];
  #epoch = 0;
  readonly #deadlines = new Deadlines();

  constructor(
    private readonly outlet: RelayOutlet,
    private readonly held: (message: InvalidationMessage) => Promise<unknown>,
    /** Milliseconds. */
    private readonly timeout: number,
    /** Marks a message that was released in time: it need not be repeated. */
    private readonly released: (
      message: InvalidationMessage,
    ) => InvalidationMessage,
    /** The outlet had no room for a message. */
    private readonly onOverflow: () => void,
  ) {}

  begin(from: RelayPlace): void {
    this.#epoch++;
    this.#waiting = [];
    this.#makeRoom();
    this.#deadlines.cancel(new Error('The relay begins again.'));
    this.outlet.begin(from);
  }

  push(relayed: RelayedMessage): boolean {
    if (this.#waiting.length > HELD_LIMIT) return false;
    const { message } = relayed;
    let passed = relayed;
    const held: Held = {
      done: false,
      pass: (outlet) => {
        if (!outlet.push(passed)) this.onOverflow();
      },
    };
    this.#waiting.push(held);
    const epoch = this.#epoch;
    void this.#isReleased(message).then((isReleased) => {
      if (epoch !== this.#epoch) return;
      if (isReleased) passed = { ...relayed, message: this.released(message) };
      held.done = true;
      this.#pass();
    });
    return true;
  }

  skip(offset: string): void {
    const last = this.#waiting.at(-1);
    // Behind a held message any number may be passed over.
    if (last?.skippedTo !== undefined) {
      last.skippedTo = offset;
      return;
    }
    const skipped: Held = {
      done: true,
      skippedTo: offset,
      pass: (outlet) => outlet.skip(skipped.skippedTo ?? offset),
    };
    this.#waiting.push(skipped);
    this.#pass();
  }

  prove(asOf: number): void {
    this.#waiting.push({ done: true, pass: (outlet) => outlet.prove(asOf) });
    this.#pass();
  }

  async room(): Promise<void> {
    if (this.#waiting.length > HELD_LIMIT / 2) {
      await new Promise<void>((resolve) => this.#roomy.push(resolve));
    }
    await this.outlet.room();
  }

  #pass(): void {
    let count = 0;
    while (this.#waiting[count]?.done === true) count++;
    for (const { pass } of this.#waiting.splice(0, count)) pass(this.outlet);
    if (this.#waiting.length <= HELD_LIMIT / 2) this.#makeRoom();
  }

  #makeRoom(): void {
    const waiting = this.#roomy;
    this.#roomy = [];
    for (const resolve of waiting) resolve();
  }

  async #isReleased(message: InvalidationMessage): Promise<boolean> {
    try {
      const held = Promise.resolve(this.held(message));
      await this.#deadlines.within(
        this.timeout,
        held,
        () => new Error('The message was held for too long.'),
      );
      return true;
    } catch {
      return false;
    }
  }
}
