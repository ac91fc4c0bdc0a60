/** Entries of the journal that are read at a time. */
const PAGE = 5_000;

/**
 * Hears every message of one region on a connection of its own, and reads the journal
 * for what it could not hear while the server was away. Messages are parsed at the end:
 * this program has enough to do until then.
 */
export class Tap {
  #redis;
  #journal;
  #channel;
  #subscriber;
  /** Payloads of each life of the server; a life ends when the server loses data. */
  #lives = [[]];

  static async on({ redis, channel, journal }) {
    const tap = new Tap(redis, channel, journal);
    await tap.#listen();
    return tap;
  }

  constructor(redis, channel, journal) {
    this.#redis = redis;
    this.#channel = channel;
    this.#journal = journal;
    this.#subscriber = redis.admin.duplicate();
    this.#subscriber.on('error', () => {});
  }

  close() {
    this.#subscriber.disconnect();
  }

  /** The server was killed and starts with less than it had: it may repeat itself. */
  newLife() {
    this.#lives.push([]);
  }

  /** @returns the messages of each life that are in the journal, in its order */
  async lives() {
    await this.#read();
    return this.#lives.map((payloads) => {
      const entries = new Map();
      for (const payload of payloads) {
        const message = JSON.parse(payload);
        if (message.offset !== undefined) entries.set(message.offset, message);
      }
      return [...entries.values()].toSorted(byOffset);
    });
  }

  async #listen() {
    this.#subscriber.on('message', (_channel, payload) =>
      this.#lives.at(-1).push(payload),
    );
    await this.#subscriber.subscribe(this.#channel);
    // The client subscribes again by itself; messages from before that are in the journal.
    this.#subscriber.on('ready', () => void this.#read().catch(() => {}));
  }

  async #read() {
    const life = this.#lives.at(-1);
    for (let from = '-'; from !== null;) {
      const page = await this.#redis.admin.xrange(
        this.#journal,
        from,
        '+',
        'COUNT',
        PAGE,
      );
      for (const [, [, payload]] of page) life.push(payload);
      from = page.length < PAGE ? null : `(${page.at(-1)[0]}`;
    }
  }
}

function byOffset(one, other) {
  const [ms, sequence] = one.offset.split('-').map(Number);
  const [otherMs, otherSequence] = other.offset.split('-').map(Number);
  return ms - otherMs || sequence - otherSequence;
}
