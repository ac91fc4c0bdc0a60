import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import {
  InjectInvalidationStream,
  keysOf,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import type { Observable } from 'rxjs';
import type { LatencyPoint, ShownMessage } from './frame.js';
import { LatencyLog } from './latency.log.js';
import { WallClock } from './wall.clock.js';

/** As many as a page shows. */
const KEPT = 50;

const KEYS_SHOWN = 3;

/** Characters of one text; an id may have as many as a message. */
const TEXT_SHOWN = 200;

interface Heard {
  readonly message: InvalidationMessage;
  readonly latency: number;
}

/** The last messages that this gateway was told of, and how many there were. */
@Injectable()
export class MessageTape implements OnModuleDestroy {
  readonly #latencies = new LatencyLog();
  readonly #clock = new WallClock();
  readonly #last: Heard[] = [];
  readonly #subscription;
  #total = 0;

  constructor(
    @InjectInvalidationStream() invalidations$: Observable<InvalidationMessage>,
  ) {
    this.#subscription = invalidations$.subscribe((message) =>
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
    return Array.from({ length: this.#total - first }, (_, index) =>
      shown(first + index + 1, this.#last[(first + index) % KEPT]!),
    );
  }

  /** Of the seconds that have ended since that one. */
  latenciesAfter(second: number): LatencyPoint[] {
    return this.#latencies.after(second, this.#clock.now());
  }

  #hear(message: InvalidationMessage): void {
    const now = this.#clock.now();
    const latency = Math.max(0, now - timeOf(message.timestamp));
    this.#last[this.#total++ % KEPT] = { message, latency };
    // An own message has not travelled.
    if (!message.own) this.#latencies.record(now, latency);
  }
}

function shown(number: number, { message, latency }: Heard): ShownMessage {
  const { timestamp, sourceService, action, widened } = message;
  return {
    number,
    at: timestamp,
    source: shortened(sourceService),
    action: shortened(action),
    says: shortened(saidBy(message)),
    widened,
    latency,
  };
}

function shortened(text: string): string {
  return text.length <= TEXT_SHOWN ? text : `${text.slice(0, TEXT_SHOWN - 1)}…`;
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
