import { randomUUID } from 'node:crypto';

/** One of so many received messages is answered by a forgery. */
const ONE_IN = 20;

/**
 * A client with the right to publish on the channel and to subscribe to it. Its
 * messages affect no cached entry, and claim false positions in the journal.
 */
export class Forger {
  #publisher;
  #subscriber;
  #channel;
  #random;
  #claimed = '0-0';

  static async join({ redis, channel, random }) {
    const forger = new Forger(redis, channel, random);
    await forger.#listen();
    return forger;
  }

  constructor(redis, channel, random) {
    this.#publisher = redis.admin;
    this.#subscriber = redis.admin.duplicate();
    this.#subscriber.on('error', () => {});
    this.#channel = channel;
    this.#random = random;
  }

  leave() {
    this.#subscriber.disconnect();
  }

  async #listen() {
    this.#subscriber.on('message', (_channel, payload) => {
      if (this.#random() * ONE_IN < 1) this.#answer(JSON.parse(payload));
    });
    await this.#subscriber.subscribe(this.#channel);
  }

  /** Publishes a forgery that mostly claims the position after the received message. */
  #answer({ offset, origin, message_id: id }) {
    if (offset === undefined) return;
    const soon = `${Date.now() + Math.floor(this.#random() * 50_000)}-7`;
    const claimed = this.#oneOf([
      soon,
      soon,
      offset,
      '99999999999999-0',
      '0-1',
    ]);
    const message = {
      message_id: this.#oneOf([randomUUID(), id]),
      entity_type: { Custom: 'forged' },
      entity_id: '1',
      action: 'Delete',
      timestamp: new Date().toISOString(),
      source_service: 'forger',
      offset: claimed,
      previous: this.#oneOf([offset, offset, this.#claimed]),
      ...(this.#random() < 0.5 ? { origin } : {}),
    };
    this.#claimed = claimed;
    void this.#publisher.publish(this.#channel, JSON.stringify(message));
  }

  #oneOf(list) {
    return list[Math.floor(this.#random() * list.length)];
  }
}
