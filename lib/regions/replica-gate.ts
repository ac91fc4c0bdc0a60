import { Deadlines } from '../common/index.js';
import { sizeOf, type InvalidationMessage } from '../message/index.js';
import type { RelayPlace } from '../transport/index.js';
import type { RelayedMessage, RelayOutlet } from './relay-outlet.js';

/** Messages that are held at one time. */
const HELD_LIMIT = 10_000;

interface Held {
  /** Hands it on. */
  readonly pass: (outlet: RelayOutlet) => void;
  /** Bytes. */
  readonly size: number;
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
  /** Bytes of the messages that are held. */
  #size = 0;
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
    /** Bytes that may be held. */
    private readonly limit: number,
  ) {}

  begin(from: RelayPlace): void {
    this.#epoch++;
    this.#waiting = [];
    this.#size = 0;
    this.#makeRoom();
    this.#deadlines.cancel(new Error('The relay begins again.'));
    this.outlet.begin(from);
  }

  push(relayed: RelayedMessage): boolean {
    if (this.#waiting.length > HELD_LIMIT || this.#size > this.limit) {
      return false;
    }
    const { message } = relayed;
    const size = sizeOf(message);
    this.#size += size;
    let passed = relayed;
    const held: Held = {
      size,
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
      size: 0,
      done: true,
      skippedTo: offset,
      pass: (outlet) => outlet.skip(skipped.skippedTo ?? offset),
    };
    this.#waiting.push(skipped);
    this.#pass();
  }

  prove(asOf: number): void {
    this.#waiting.push({
      size: 0,
      done: true,
      pass: (outlet) => outlet.prove(asOf),
    });
    this.#pass();
  }

  async room(): Promise<void> {
    if (!this.#isRoomy) {
      await new Promise<void>((resolve) => this.#roomy.push(resolve));
    }
    await this.outlet.room();
  }

  #pass(): void {
    let count = 0;
    while (this.#waiting[count]?.done === true) count++;
    const epoch = this.#epoch;
    for (const { size, pass } of this.#waiting.splice(0, count)) {
      this.#size -= size;
      pass(this.outlet);
      // There was no room: the others would follow a gap.
      if (epoch !== this.#epoch) return;
    }
    if (this.#isRoomy) this.#makeRoom();
  }

  get #isRoomy(): boolean {
    return (
      this.#waiting.length <= HELD_LIMIT / 2 && this.#size <= this.limit / 2
    );
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
