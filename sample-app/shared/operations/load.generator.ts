import type { InvalidationPublisher } from 'nestjs-cache-invalidation';

const PER_SECOND = 1_000;
const SECONDS = 5;
const MESSAGES = PER_SECOND * SECONDS;
const PAUSE_MS = 10;

/** Publishes many messages at a steady rate; they affect no entries. */
export class LoadGenerator {
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly publisher: InvalidationPublisher) {}

  /** @returns `null` if it is running already */
  start(): { messages: number; perSecond: number } | null {
    if (this.#timer !== null) return null;
    const begun = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - begun) / 1_000) * PER_SECOND;
      while (sent < Math.min(due, MESSAGES)) this.#publish(++sent);
      if (sent === MESSAGES) this.stop();
    }, PAUSE_MS);
    return { messages: MESSAGES, perSecond: PER_SECOND };
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #publish(number: number): void {
    // Rejects only for bad input, and there is none.
    void this.publisher.invalidateCustom('load', number);
  }
}
