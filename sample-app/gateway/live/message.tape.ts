import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { keysOf, type InvalidationMessage } from 'nestjs-cache-invalidation';
import type { LatencyPoint, ShownMessage } from './frame.js';
import { LatencyLog } from './latency.log.js';
import { PageBus } from './page.bus.js';
import { WallClock } from './wall.clock.js';

/** As many as the demo's story publishes; a page shows no more rows either. */
const KEPT = 500;

const KEYS_SHOWN = 3;

/** Characters of one text; an id may have as many as a message. */
const TEXT_SHOWN = 200;

/** A message that reached Redis later than this after its publish waited in an outbox. */
const HELD_MS = 1_000;

/** The last messages on the bus, as they are shown, and how many there were. */
@Injectable()
export class MessageTape implements OnModuleDestroy {
  readonly #latencies = new LatencyLog();
  readonly #clock = new WallClock();
  readonly #last: ShownMessage[] = [];
  readonly #subscription;
  #total = 0;

  constructor(private readonly bus: PageBus) {
    this.#subscription = bus.subscriber.messages$.subscribe((message) =>
      this.#hear(message),
    );
  }

  onModuleDestroy(): void {
    this.#subscription.unsubscribe();
  }

  get total(): number {
    return this.#total;
  }

  /** Those after the first `seen`, or as many of them as are kept; oldest first. */
  after(seen: number): ShownMessage[] {
    const first = Math.max(seen, this.#total - KEPT);
    return Array.from(
      { length: this.#total - first },
      (_, index) => this.#last[(first + index) % KEPT]!,
    );
  }

  /** Of the seconds that have ended since that one. */
  latenciesAfter(second: number): LatencyPoint[] {
    return this.#latencies.after(second, this.#clock.now());
  }

  #hear(message: InvalidationMessage): void {
    const now = this.#clock.now();
    const published = timeOf(message.timestamp);
    const latency = Math.max(0, now - published);
    const late = this.#lateness(message, published);
    this.#last[this.#total % KEPT] = shown(++this.#total, message, {
      latency,
      late,
    });
    // An own message has not travelled.
    if (message.own) return;
    if (late === null) this.#latencies.record(now, latency);
    else this.#latencies.recordLate(now);
  }

  /** Such a message says how long Redis was away, and nothing of how fast the bus is. */
  #lateness(
    { own, offset }: InvalidationMessage,
    published: number,
  ): ShownMessage['late'] {
    if (own) return null;
    if (this.bus.isCatchingUp) return 'replayed';
    // An offset begins with the time at which Redis took the message.
    const isHeld = offset !== null && parseInt(offset) - published > HELD_MS;
    return isHeld ? 'held' : null;
  }
}

function shown(
  number: number,
  message: InvalidationMessage,
  timing: Pick<ShownMessage, 'latency' | 'late'>,
): ShownMessage {
  const { timestamp, sourceService, action, widened } = message;
  return {
    number,
    at: timestamp,
    source: shortened(sourceService),
    action: shortened(action),
    says: shortened(saidBy(message)),
    widened,
    ...timing,
  };
}

/** By way of a buffer: a mere slice would keep the whole text in memory. */
function shortened(text: string): string {
  if (text.length <= TEXT_SHOWN) return text;
  return String(Buffer.from(`${text.slice(0, TEXT_SHOWN - 1)}…`));
}

function saidBy(message: InvalidationMessage): string {
  const keys = keysOf(message);
  if (keys === null) return message.pattern ?? '';
  const more = keys.length - KEYS_SHOWN;
  const first = keys.slice(0, KEYS_SHOWN).join(', ');
  return more > 0 ? `${first} and ${more} more` : first;
}

/** `Date.parse` stops at milliseconds, and most messages take less than one. */
function timeOf(timestamp: string): number {
  const digits = /\.\d{3}(\d+)/.exec(timestamp)?.[1] ?? '';
  // Nor does it know leap seconds.
  const known = timestamp.replace(/:60(?=[.Z+-])/i, ':59');
  return Date.parse(known) + Number(`0.${digits}`);
}
