import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { keysOf, type InvalidationMessage } from 'nestjs-cache-invalidation';
import type { LatencyPoint, ShownMessage } from './frame.js';
import { LatencyLog } from './latency.log.js';
import { PageBus } from './page.bus.js';
import { WallClock } from './wall.clock.js';

/** Number of messages that are kept: as many as the story publishes, and as the page shows. */
const KEPT = 500;

const KEYS_SHOWN = 3;

/** Characters of one text that are shown: an id may be as long as a message. */
const TEXT_SHOWN = 200;

/** A message that reached Redis later than this after its publish has waited in an outbox. */
const HELD_MS = 1_000;

/** The last messages, in the form in which they are shown, and their total number. */
@Injectable()
export class MessageTape implements OnModuleDestroy {
  readonly #latencies = new LatencyLog();
  readonly #clock = new WallClock();
  readonly #last: ShownMessage[] = [];
  readonly #subscription;
  #total = 0;

  constructor(
    private readonly bus: PageBus,
    private readonly config: ConfigService,
  ) {
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

  /** Messages after the first `seen`, as far as they are kept; oldest first. */
  after(seen: number): ShownMessage[] {
    const first = Math.max(seen, this.#total - KEPT);
    return Array.from(
      { length: this.#total - first },
      (_, index) => this.#last[(first + index) % KEPT]!,
    );
  }

  /** Latencies of the seconds that have ended since the given one. */
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
      region: this.#foreignRegionOf(message),
    });
    // An own message did not go through Redis.
    if (message.own) return;
    if (late === null) this.#latencies.record(now, latency);
    else this.#latencies.recordLate(now);
  }

  #foreignRegionOf({ region }: InvalidationMessage): string | null {
    return region === this.config.get('SAMPLE_APP_REGION') ? null : region;
  }

  /** Why a message is late: its age shows how long Redis was away, and is no latency. */
  #lateness(
    { own, offset }: InvalidationMessage,
    published: number,
  ): ShownMessage['late'] {
    if (own) return null;
    if (this.bus.isCatchingUp) return 'replayed';
    // An offset begins with the time when Redis took the message.
    const isHeld = offset !== null && parseInt(offset) - published > HELD_MS;
    return isHeld ? 'held' : null;
  }
}

function shown(
  number: number,
  message: InvalidationMessage,
  more: Pick<ShownMessage, 'latency' | 'late' | 'region'>,
): ShownMessage {
  const { timestamp, sourceService, action, widened } = message;
  return {
    number,
    at: timestamp,
    source: shortened(sourceService),
    action: shortened(action),
    says: shortened(saidBy(message)),
    widened,
    ...more,
  };
}

/** Copied through a buffer: a slice would keep the whole text in memory. */
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
  // `Date.parse` does not support leap seconds either.
  const known = timestamp.replace(/:60(?=[.Z+-])/i, ':59');
  return Date.parse(known) + Number(`0.${digits}`);
}
