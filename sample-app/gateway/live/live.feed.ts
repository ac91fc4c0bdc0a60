import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { Writable } from 'node:stream';
import { CutCopies } from './cut.copies.js';
import type { Frame } from './frame.js';
import { MessageTape } from './message.tape.js';
import { ServicesWatch } from './services.watch.js';

/** Time between two frames: more of them could not be seen. */
const INTERVAL_MS = 100;

/** Most pages that may be open at once: each costs a frame every 100 ms. */
const MOST_VIEWERS = 50;

/** How far a viewer has received the feed. */
interface Position {
  readonly total: number;
  readonly version: number;
  readonly second: number;
  readonly copies: number;
}

const NOWHERE: Position = { total: 0, version: 0, second: 0, copies: 0 };

/**
 * Sends every viewer the newest data. Nothing is queued for a slow reader: its
 * next frame begins where its last one ended, and is not longer.
 */
@Injectable()
export class LiveFeed implements OnModuleDestroy {
  readonly #viewers = new Map<Writable, Position>();
  #timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly tape: MessageTape,
    private readonly services: ServicesWatch,
    private readonly copies: CutCopies,
  ) {}

  get viewers(): number {
    return this.#viewers.size;
  }

  get isFull(): boolean {
    return this.#viewers.size >= MOST_VIEWERS;
  }

  /** Sends the first frame, with everything, at once. */
  add(viewer: Writable): void {
    this.#viewers.set(viewer, NOWHERE);
    viewer.once('close', () => this.#remove(viewer));
    viewer.on('error', () => undefined);
    this.#show(viewer, NOWHERE);
    if (this.#timer !== null) return;
    this.services.start();
    this.copies.start();
    this.#timer = setInterval(() => this.#showAll(), INTERVAL_MS);
  }

  onModuleDestroy(): void {
    for (const viewer of this.#viewers.keys()) {
      viewer.end();
      this.#remove(viewer);
    }
  }

  #remove(viewer: Writable): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.services.stop();
    this.copies.stop();
  }

  #showAll(): void {
    for (const [viewer, position] of this.#viewers) {
      if (!viewer.writableNeedDrain) this.#show(viewer, position);
    }
  }

  #show(viewer: Writable, from: Position): void {
    const frame = this.#frameFrom(from);
    const isNews =
      frame.total > from.total ||
      frame.services.length > 0 ||
      frame.latencies.length > 0 ||
      frame.copies !== null;
    if (!isNews && from !== NOWHERE) return;
    viewer.write(`data: ${JSON.stringify(frame)}\n\n`);
    this.#viewers.set(viewer, {
      total: frame.total,
      version: this.services.version,
      second: frame.latencies.at(-1)?.second ?? from.second,
      copies: this.copies.version,
    });
  }

  #frameFrom({ total, version, second, copies }: Position): Frame {
    return {
      now: Date.now(),
      total: this.tape.total,
      messages: this.tape.after(total),
      services: this.services.after(version),
      latencies: this.tape.latenciesAfter(second),
      copies: this.copies.after(copies),
    };
  }
}
